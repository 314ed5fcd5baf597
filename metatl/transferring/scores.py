"""Accuracies and paired differences over draws and test photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.statistics import Range, crossed

Matrix = NDArray[np.float64]
"""[draws, photos]: 1 where a test photo was named rightly, 0 where not, NaN where it did not judge."""


def accuracy(right: Matrix) -> float:
    """Percent: the mean over draws of the share of each draw's test photos."""
    return float(100 * np.nanmean(right, axis=1).mean())


def interval(right: Matrix, whole: bool) -> Range:
    """The accuracy in percent with its interval (`evaluation.statistics.crossed`); whole: all labels used."""
    return _percent(crossed(right, whole=whole))


def difference(right: Matrix, other: Matrix, whole: bool) -> Range:
    """Two accuracies on the same draws and photos: points between them, with interval and p."""
    return _percent(crossed(right - other, -1.0, whole))


def _percent(found: Range) -> Range:
    ends = None if found.ci95 is None else (100 * found.ci95[0], 100 * found.ci95[1])
    return Range(100 * found.mean, ends, found.p)


def matrix(draws: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], photos: int) -> Matrix:
    """[draws, photos] from each draw's test places and whether they were named rightly."""
    found = np.full((len(draws), photos), np.nan)
    for i, (places, right) in enumerate(draws):
        found[i, places] = right
    return found


def worse(row: Matrix, reference: Matrix) -> float:
    """Percent of draws whose score is strictly below the reference's in the same draw."""
    a, b = np.nanmean(row, axis=1), np.nanmean(reference, axis=1)
    return float(100 * (a < b - 1e-12).mean())


def rounded(value: Any, places: int = 2) -> Any:
    """Numbers of reports: rounded, in tuples as lists, None as it is."""
    if value is None:
        return None
    if isinstance(value, tuple | list):
        return [rounded(item, places) for item in value]
    return round(float(value), places) + 0.0  # no -0.0
