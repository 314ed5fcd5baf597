"""The small tables of tables.py: x [n, d], 64 columns at most, and classes y [n]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import study
from numpy.typing import NDArray
from sklearn import datasets

from metatl.types import MetatlError

Rows = tuple[NDArray[Any], NDArray[Any]]
COLUMNS = 24


def _shipped(name: str) -> Rows:
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def _held(file: str) -> Mapping[str, NDArray[Any]]:
    """The arrays of a file of the data folder; MetatlError where it is not there."""
    with np.load(study.data(file)) as held:
        return {name: held[name] for name in held.files}


def widest(x: NDArray[Any]) -> NDArray[Any]:
    """The columns of largest variance, COLUMNS at most, in the table's order: no label is read."""
    kept = np.sort(np.argsort(-x.var(0), kind="stable")[:COLUMNS])
    return x[:, kept]


def cells() -> Rows:
    """Lines of cells from the genes that vary most, log(1 + counts per 10,000)."""
    held = _held("sc_mixology/sc_mixology_3000.npz")
    x = np.log1p(1e4 * held["x"] / held["total_count"][:, None])
    return widest(x)[held["singlet"]], held["y"][held["singlet"]]


def blood() -> Rows:
    """Types of blood cells from the genes that vary most, those of 30 cells and more."""
    held = _held("pbmc68k/pbmc68k_reduced.npz")
    kept = np.bincount(held["y"])[held["y"]] >= 30
    return widest(held["raw_log"])[kept], np.unique(held["y"][kept], return_inverse=True)[1]


def windows() -> Rows:
    """Six activities from mean, deviation, lowest and highest value of each channel of a phone's windows."""
    held = _held("hapt/hapt_windows_128.npz")
    x = held["x"][held["y"] <= 6] * np.asarray(held["scale"]).reshape(1, -1, 1)
    parts = (x.mean(2), x.std(2), x.min(2), x.max(2))
    return np.concatenate(parts, 1), held["y"][held["y"] <= 6]


def pupils() -> Rows:
    """Whether a pupil's exam score is above the median, from what the school's table says of the pupil."""
    held = _held("ilea_school/ilea_school.npz")
    return held["x"].astype(float), (held["y"] > np.median(held["y"])).astype(int)


TABLES: Mapping[str, Callable[[], Rows]] = {
    **{name: partial(_shipped, name) for name in ("iris", "wine", "breast_cancer", "digits")},
    "cells": cells,
    "blood": blood,
    "windows": windows,
    "pupils": pupils,
}


def table_of(name: str) -> Rows:
    """One of them; MetatlError for a name that is none."""
    if name not in TABLES:
        raise MetatlError(f"--tables: {name!r} is none of {', '.join(TABLES)}")
    return TABLES[name]()
