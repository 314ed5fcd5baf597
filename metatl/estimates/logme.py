"""LogME: the evidence of Bayesian linear regression on features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metatl.estimates.estimate import Pair, TransferabilityEstimate, Values, checked, one_hot

STEPS, TOLERANCE = 11, 1e-3


def logme(features: Any, y: Any) -> float:
    """log N(y; 0, I / beta + F F' / alpha) / n at the alpha and beta of a fixed point; mean over targets.

    features F [n, d], y [n]: real values, or classes, whose one-hot columns are the targets. With the
    singular values s^(1/2) of F, u = U'y and t = alpha / beta: gamma = sum s / (s + t),
    m2 = sum s u^2 / (s + t)^2,
    r2 = sum u^2 / (1 + s / t)^2 + |y|^2 - |u|^2, alpha = gamma / m2, beta = (n - gamma) / r2; 11 steps, or
    until t moves by less than 1e-3, from alpha = beta = 1 for s of mean n and y of mean square 1, so that no
    unit plays a part (published is a start at 1 in the unit as it is, from which 11 steps end elsewhere):
    features times c have the same number, real targets times c have log c less. Neither intercept nor
    centring, as published. Directions without features count nothing: log alpha has the factor rank / 2,
    where the authors' quick version has d / 2, which is wrong for n < d. Source: You et al. 2021,
    arXiv 2102.11005.
    """
    f, t = checked(features, y)
    targets = one_hot(t) if t.dtype.kind in "iub" else t.astype(np.float64)[:, None]
    left, sigma, _ = np.linalg.svd(f, full_matrices=False)
    kept = sigma > sigma.max(initial=0.0) * max(f.shape) * np.finfo(np.float64).eps
    left, s = left[:, kept], (sigma[kept] / sigma.max(initial=0.0)) ** 2
    s = len(f) * s / s.mean() if len(s) else s
    return float(np.mean([_in_units(left, one, s) for one in targets.T]))


def _in_units(left: Values, y: Values, s: Values) -> float:
    """The evidence of y, by that of y with mean square 1."""
    unit = float(np.sqrt((y**2).mean())) or 1.0
    one = y / unit
    return _evidence(left.T @ one, float(one @ one), s, len(y)) - float(np.log(unit))


def _moments(u: Values, size: float, s: Values, t: float) -> tuple[float, float]:
    """m2 and r2 of `logme`."""
    return float((s * u**2 / (s + t) ** 2).sum()), float(
        (u**2 / (1 + s / t) ** 2).sum() + max(size - u @ u, 0.0)
    )


def _evidence(u: Values, size: float, s: Values, n: int) -> float:
    alpha = beta = 1.0
    for _ in range(STEPS):
        t = alpha / beta
        gamma = float((s / (s + t)).sum())
        m2, r2 = _moments(u, size, s, t)
        alpha, beta = gamma / (m2 + 1e-5), (n - gamma) / (r2 + 1e-5)
        if abs(alpha / beta - t) <= TOLERANCE * t:
            break
    alpha, beta = max(alpha, 1e-12), max(beta, 1e-12)
    m2, r2 = _moments(u, size, s, alpha / beta)
    log = len(s) * np.log(alpha) + n * np.log(beta) - np.log(alpha + beta * s).sum()
    return float(log - beta * r2 - alpha * m2 - n * np.log(2 * np.pi)) / (2 * n)


@dataclass(frozen=True)
class LogME(TransferabilityEstimate):
    """Evidence of Bayesian linear regression of the targets on the source's features, over n; rank mended.

    Source: You et al. 2021, arXiv 2102.11005.
    """

    name: ClassVar[str] = "LogME"

    def fits(self, pair: Pair) -> bool:
        """Always."""
        return True

    def __call__(self, pair: Pair) -> float:
        """`logme`, of real values standardised first."""
        y = pair.y if pair.classes else (pair.y - pair.y.mean()) / (pair.y.std() or 1.0)
        return logme(pair.features, y)
