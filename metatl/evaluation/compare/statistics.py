"""Paired statistics on scores of the same episodes: differences, corrected p-values, harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.types import MetatlError

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over the same n episodes, half-width of its 95 % interval, two-sided p of mean 0."""

    mean: float
    ci95: float
    p: float
    n: int


def paired(a: NDArray[Any], b: NDArray[Any]) -> Difference:
    """Paired t-test of a - b: t = mean / (sd / sqrt(n)), n - 1 degrees; p = 1 if every difference is 0.

    a, b [episodes], in one order. Raises MetatlError where lengths differ, n < 2, or a score is not finite.
    """
    if len(a) != len(b):
        raise MetatlError(f"not the same episodes: {len(a)} and {len(b)} scores cannot be paired")
    d = checked("the first", a) - checked("the second", b)
    mean, error = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d))
    if error == 0.0:  # every episode moved by exactly the same amount, so there is no noise to test against
        return Difference(mean, 0.0, 1.0 if mean == 0.0 else 0.0, len(d))
    return Difference(mean, 1.96 * error, t_two_sided(mean / error, len(d) - 1), len(d))


def t_two_sided(t: float, degrees: float) -> float:
    """P(|T| >= |t|) of Student's t with v degrees: the incomplete beta I_x(v/2, 1/2), x = v / (v + t^2)."""
    square = t * t
    if math.isinf(square):
        return 0.0
    x, rest = degrees / (degrees + square), square / (degrees + square)
    a, b = degrees / 2, 0.5
    log_x = -math.log1p(square / degrees)  # not log(x): x is close to 1 for many episodes
    log_rest = math.log(rest) if rest > 0 else -math.inf
    log_front = a * log_x + b * log_rest + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    if x < (a + 1) / (a + b + 2):
        return min(1.0, math.exp(log_front) * _beta_fraction(a, b, x) / a)
    return max(0.0, 1.0 - math.exp(log_front) * _beta_fraction(b, a, rest) / b)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22)."""
    tiny, c = 1e-300, 1.0
    d = 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d or tiny), 1 + term / c or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def holm(ps: Sequence[float]) -> list[float]:
    """Step-down correction: i-th smallest of m p-values times m - i + 1, monotone, at most 1 (Holm 1979)."""
    if not all(0.0 <= p <= 1.0 for p in ps):
        raise MetatlError(f"p-values must lie in [0, 1], got {list(ps)}")
    corrected, floor = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        floor = max(floor, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = floor
    return corrected


def harmed(scores: NDArray[Any], reference: NDArray[Any], score: str = "accuracy") -> float:
    """Share in [0, 1] of episodes strictly worse than the reference on the same episode; ties are no harm."""
    if len(scores) != len(reference):
        raise MetatlError(f"not the same episodes: {len(scores)} and {len(reference)} scores")
    return float((_better(score) * (scores - reference) < 0).mean())


def worst_decile(scores: NDArray[Any], score: str = "accuracy") -> float:
    """Mean of the worst tenth of the episodes (rounded up): lowest accuracies, or largest losses."""
    worst_first = np.sort(_better(score) * scores)
    return float(_better(score) * worst_first[: math.ceil(len(scores) / 10)].mean())


def _better(score: str) -> int:
    """+1 where more is better, -1 where less is."""
    return -1 if score == "loss" else 1


def checked(name: str, scores: NDArray[Any]) -> Scores:
    """The scores as float64 [episodes]; raises MetatlError where they are too few or not finite."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise MetatlError(f"{name}: scores of shape {values.shape}; a comparison needs two episodes or more")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise MetatlError(
            f"{name}: {len(bad)} of {len(values)} scores are not finite (first: episode {bad[0]}); "
            "find out why that task diverged, or evaluate with a smaller rate"
        )
    return values
