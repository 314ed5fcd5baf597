"""Means over draws crossed with rows, and their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from metatl.evaluation.statistics import FEWEST_DRAWS, LEVEL, ROUNDING, Scores, of_error


@dataclass(frozen=True)
class Range:
    """A mean, the ends of its 95 % interval, and the two-sided p of a mean of 0; None as in `Estimate`."""

    mean: float
    ci95: tuple[float, float] | None
    p: float | None


def crossed(values: Scores, lowest: float | None = 0.0, whole: bool = False) -> Range:
    """The mean over draws of each draw's mean over rows, and its interval over draws and rows alike.

    values [draws, rows], NaN where a row does not judge: shares in 0 .. 1, or with lowest = -1 differences of
    shares, which alone have a p. The variance of the mean is that between draws plus that between rows minus
    that of what is left, and at least either of the first two (Cameron, Gelbach & Miller 2011), with
    Satterthwaite's degrees of freedom v. The interval is Wilson's with t of v degrees, for the number of
    independent rows that would have this variance (Korn & Graubard 1998). lowest None: values without
    bounds, whose interval is mean +- t sqrt(variance), and p of a mean of 0. whole: all labels are used, and
    there are no other draws; else fewer than three have no interval. Nor has a single row.
    """
    judged = ~np.isnan(values)
    counts, rows = judged.sum(1), int(judged.any(0).sum())
    known = np.where(judged, values, 0.0)
    of_draws, mean = known.sum(1) / counts, float((known.sum(1) / counts).mean())
    draws, weight = len(values), judged / (len(values) * counts[:, None])
    if rows < 2 or (draws < FEWEST_DRAWS and not whole):
        return Range(mean, None, None)
    off = weight * (known - mean)
    by_row = float((off.sum(0) ** 2).sum()) * rows / (rows - 1)
    variance, degrees = by_row, rows - 1.0
    if draws >= FEWEST_DRAWS:
        by_draw = float((off.sum(1) ** 2).sum()) * draws / (draws - 1)
        of_rows = known.sum(0) / np.maximum(judged.sum(0), 1)
        left = weight * (known - of_draws[:, None] - of_rows + mean)
        free, entries = int(counts.sum()) - draws - rows + 1, int(counts.sum())
        rest = float((left**2).sum()) * entries / free if free > 0 else math.inf
        variance = max(by_draw + by_row - rest, by_draw, by_row)
        parts = by_draw**2 / (draws - 1) + by_row**2 / (rows - 1)
        degrees = variance**2 / parts if parts > 0 else degrees
    if lowest is None:
        size = float(np.abs(known).max())
        if variance <= (ROUNDING * size) ** 2:
            return Range(mean, None, None)
        made = of_error(mean, math.sqrt(variance), degrees, rows)
        assert made.ci95 is not None
        return Range(mean, (mean - made.ci95, mean + made.ci95), made.p)
    return _wilson(mean, variance, degrees, rows, lowest)


def _wilson(mean: float, variance: float, degrees: float, rows: int, lowest: float) -> Range:
    """All rows alike: as many independent ones for a share, nothing for a difference."""
    from scipy.stats import t

    span, alike = 1.0 - lowest, variance <= 1e-15
    if alike and lowest < 0:
        return Range(mean, None, None)
    share = (mean - lowest) / span
    spread = share * (1 - share)
    count = rows if alike else max(spread * span**2 / variance, 1e-300)
    square = float(t.ppf(1 - LEVEL / 2, degrees)) ** 2 / count
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (spread + square / 4)) / (1 + square)
    ends = (lowest + span * (centre - half), lowest + span * (centre + half))
    if lowest == 0:
        return Range(mean, ends, None)
    null = -lowest / span
    z = abs(share - null) * math.sqrt(count / (null * (1 - null)))
    return Range(mean, ends, float(2 * t.sf(z, degrees)))
