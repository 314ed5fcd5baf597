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
ROUNDING = 4 * 2.0**-23
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
    if n < 2 or float(np.ptp(values)) <= ROUNDING * size:
        return Estimate(mean, None, None, n)
    return of_error(mean, float(values.std(ddof=1)) / math.sqrt(n), n - 1, n)


def of_error(mean: float, error: float, degrees: float, n: int) -> Estimate:
    """The estimate of a mean with this standard error, above 0, that was found with so many degrees."""
    from scipy.stats import t  # takes a while to import

    p = float(2 * t.sf(abs(mean) / error, degrees))
    return Estimate(mean, error * float(t.ppf(1 - LEVEL / 2, degrees)), p, n)


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
