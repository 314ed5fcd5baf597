"""Intervals and paired differences that count draws and test rows alike: a bootstrap over both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""[draws, photos]: 1 where a test photo was named rightly, 0 where not, NaN where it did not judge."""
RESAMPLES = 2000
FEWEST_DRAWS = 3
"""Below it no interval over draws is claimed."""


@dataclass(frozen=True)
class Interval:
    """A mean in percent, its 95 % interval, and p of a mean of 0; None where nothing can be claimed."""

    mean: float
    ci95: tuple[float, float] | None
    p: float | None


def accuracy(right: Matrix) -> float:
    """Percent: the mean over draws of the share of each draw's test photos."""
    return float(100 * np.nanmean(right, axis=1).mean())


def interval(values: Matrix, whole: bool, seed: int = 0) -> Interval:
    """The mean over draws of the mean over photos, in percent, with its percentile bootstrap.

    values: [draws, photos], NaN where a photo does not judge; whole: all rows are labelled, so that only test
    photos are drawn again; else draws and photos are, independently. With one or two draws there is no
    interval over draws. p = 2 min(P(mean* <= 0), P(mean* >= 0)), of at least 2 / (resamples + 1).
    """
    mean = accuracy(values)
    if not whole and len(values) < FEWEST_DRAWS:
        return Interval(mean, None, None)
    found = resampled(values, whole, seed)
    low, high = np.percentile(found, [2.5, 97.5])
    tail = min(int((found <= 1e-9).sum()), int((found >= -1e-9).sum()))
    return Interval(mean, (float(low), float(high)), min(1.0, 2 * (1 + tail) / (len(found) + 1)))


def resampled(values: Matrix, whole: bool, seed: int = 0) -> NDArray[np.float64]:
    """[RESAMPLES]: the mean in percent with draws and photos drawn again, the same ones for the same seed."""
    draws, photos = values.shape
    rng = np.random.default_rng([seed, 4])
    times = rng.multinomial(photos, np.full(photos, 1 / photos), RESAMPLES).astype(np.float64)
    judged = ~np.isnan(values)
    sums = times @ np.where(judged, values, 0.0).T
    counts = times @ judged.T.astype(np.float64)
    each = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    if whole:
        weights = np.ones((RESAMPLES, draws))
    else:
        weights = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES).astype(np.float64)
    weights = np.where(np.isnan(each), 0.0, weights)
    return 100 * (np.nan_to_num(each) * weights).sum(1) / np.maximum(weights.sum(1), 1e-300)


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
