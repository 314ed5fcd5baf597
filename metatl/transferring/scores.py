"""Scores and paired differences over draws and the rows that judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.crossed import Range, crossed
from metatl.evaluation.scores import Score

Matrix = NDArray[np.float64]
"""[draws, rows]: the score of every row that judges, NaN where it did not judge."""


def mean(scores: Matrix) -> float:
    """The mean over draws of each draw's mean over rows."""
    return float(np.nanmean(scores, axis=1).mean())


def interval(score: Score, scores: Matrix, whole: bool) -> Range:
    """The mean with its interval (`evaluation.crossed.crossed`), shares in percent; whole: all labels."""
    found = _in_units(score, crossed(scores, 0.0 if score.unit == "%" else None, whole))
    if found.ci95 is None or score.least is None:
        return found
    return replace(found, ci95=(max(found.ci95[0], score.least), found.ci95[1]))


def difference(score: Score, scores: Matrix, other: Matrix, whole: bool) -> Range:
    """Two means on the same draws and rows: what lies between them, with interval and p."""
    return _in_units(score, crossed(scores - other, -1.0 if score.unit == "%" else None, whole))


def _in_units(score: Score, found: Range) -> Range:
    unit = 100 if score.unit == "%" else 1
    ends = None if found.ci95 is None else (unit * found.ci95[0], unit * found.ci95[1])
    return Range(unit * found.mean, ends, found.p)


def matrix(draws: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], rows: int) -> Matrix:
    """[draws, rows] from each draw's rows that judge and their scores."""
    found = np.full((len(draws), rows), np.nan)
    for i, (places, scores) in enumerate(draws):
        found[i, places] = scores
    return found


def worse(score: Score, row: Matrix, reference: Matrix) -> float:
    """Percent of draws whose score is strictly worse than the reference's in the same draw."""
    a, b = np.nanmean(row, axis=1), np.nanmean(reference, axis=1)
    least = 1e-12 * np.maximum(np.abs(a), np.abs(b))
    return float(100 * (score.sign * (a - b) < -least).mean())


def rounded(value: Any, places: int = 2) -> Any:
    """Numbers of reports: rounded, in tuples as lists, None as it is."""
    if value is None:
        return None
    if isinstance(value, tuple | list):
        return [rounded(item, places) for item in value]
    return round(float(value), places) + 0.0  # no -0.0
