"""Every interval and test that is printed: Student's t, paired, draws crossed with rows; Holm; harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.scores import named
from metatl.types import MetatlError

Scores = NDArray[np.float64]
LEVEL = 0.05
"""A p below it is called shown; 95 % intervals are the same test."""
INTERVAL = "95 % interval, Student's t with {unit} - 1 degrees of freedom"
"""How tables name it, by what the values are of."""
FEWEST_DRAWS = 3
"""Below it nothing is said of other draws: two cover 87 % where they are meant to cover 95."""
_ROUNDING = 4 * 2.0**-23
"""Scores are taken in float32: values that agree to so much of their size do not vary."""


@dataclass(frozen=True)
class Estimate:
    """A mean of n values, half of its 95 % interval, and the two-sided p of a mean of 0.

    One value says nothing about others: no ci95, no p. Neither do differences without variance; a mean of
    scores without it has the interval that Student's t gives, of no width, and no p. Where both are there,
    the interval leaves out 0 exactly where p < 0.05.
    """

    mean: float
    ci95: float | None
    p: float | None
    n: int

    @property
    def half(self) -> float:
        """ci95 as pictures want it: NaN where there is none."""
        return math.nan if self.ci95 is None else self.ci95

    def times(self, unit: float) -> Estimate:
        """The same in another unit: 100 for shares told in percent."""
        return Estimate(unit * self.mean, None if self.ci95 is None else unit * self.ci95, self.p, self.n)


def estimate(values: Any) -> Estimate:
    """mean +- t sd / sqrt(n), t the 97.5 % point of Student's t with n - 1 degrees; values [n] independent.

    Raises MetatlError where there is none, or one is not finite.
    """
    found = checked("the values", values, least=1)
    made = _student(found, float(np.abs(found).max()))
    return replace(made, ci95=0.0) if made.ci95 is None and made.n > 1 else made


def paired(a: Any, b: Any) -> Estimate:
    """`estimate` of a - b over the same episodes: the paired t-test. a, b [episodes], in one order.

    Raises MetatlError where lengths differ, n < 2, or a score is not finite.
    """
    if len(a) != len(b):
        raise MetatlError(f"not the same episodes: {len(a)} and {len(b)} scores cannot be paired")
    one, other = checked("the first", a), checked("the second", b)
    return _student(one - other, float(np.abs([one, other]).max()))


def _student(values: Scores, size: float) -> Estimate:
    """size: of what the values were taken from; what differs by its rounding alone does not vary."""
    n, mean = len(values), float(values.mean())
    if n < 2 or float(np.ptp(values)) <= _ROUNDING * size:
        return Estimate(mean, None, None, n)
    return of_error(mean, float(values.std(ddof=1)) / math.sqrt(n), n - 1, n)


def of_error(mean: float, error: float, degrees: float, n: int) -> Estimate:
    """The estimate of a mean with this standard error, above 0, that was found with so many degrees."""
    from scipy.stats import t  # takes a while to import

    p = float(2 * t.sf(abs(mean) / error, degrees))
    return Estimate(mean, error * float(t.ppf(1 - LEVEL / 2, degrees)), p, n)


@dataclass(frozen=True)
class Range:
    """A mean, the ends of its 95 % interval, and the two-sided p of a mean of 0; None as in `Estimate`."""

    mean: float
    ci95: tuple[float, float] | None
    p: float | None


def crossed(values: Scores, lowest: float = 0.0, whole: bool = False) -> Range:
    """The mean over draws of each draw's mean over rows, and its interval over draws and rows alike.

    values [draws, rows], NaN where a row does not judge: shares in 0 .. 1, or with lowest = -1 differences of
    shares, which alone have a p. The variance of the mean is that between draws plus that between rows minus
    that of what is left, and at least either of the first two (Cameron, Gelbach & Miller 2011), with
    Satterthwaite's degrees of freedom v. The interval is Wilson's with t of v degrees, for the number of
    independent rows that would have this variance (Korn & Graubard 1998). whole: all labels are used, and
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


def shown(p: float | None) -> bool:
    """Whether a mean is shown to be another than 0."""
    return p is not None and p < LEVEL


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Step-down correction: i-th smallest of m p-values times m - i + 1, monotone, at most 1 (Holm 1979).

    What has no p (None) stays so; it was asked for, and is counted in m.
    """
    known = [(p, place) for place, p in enumerate(ps) if p is not None]
    if not all(0.0 <= p <= 1.0 for p, _ in known):
        raise MetatlError(f"p-values must lie in [0, 1], got {list(ps)}")
    corrected: list[float | None] = [None] * len(ps)
    floor = 0.0
    for rank, (p, place) in enumerate(sorted(known)):
        floor = max(floor, min(1.0, (len(ps) - rank) * p))
        corrected[place] = floor
    return corrected


def harmed(scores: Any, reference: Any, score: str = "accuracy") -> float:
    """Share in [0, 1] of episodes strictly worse than the reference on the same episode; ties are no harm."""
    if len(scores) != len(reference):
        raise MetatlError(f"not the same episodes: {len(scores)} and {len(reference)} scores")
    return float((named(score).sign * (scores - reference) < 0).mean())


def worst_decile(scores: Any, score: str = "accuracy") -> float:
    """Mean of the worst tenth of the episodes (rounded up): lowest accuracies, or largest losses."""
    sign = named(score).sign
    worst_first = np.sort(sign * scores)
    return float(sign * worst_first[: math.ceil(len(scores) / 10)].mean())


def checked(name: str, scores: Any, least: int = 2) -> Scores:
    """The scores as float64 [episodes]; raises MetatlError where they are too few or not finite."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) < least:
        needed = "two episodes or more" if least == 2 else "one value or more"
        raise MetatlError(f"{name}: scores of shape {values.shape}; a comparison needs {needed}")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise MetatlError(
            f"{name}: {len(bad)} of {len(values)} scores are not finite (first: episode {bad[0]}); "
            "find out why that task diverged, or evaluate with a smaller rate"
        )
    return values
