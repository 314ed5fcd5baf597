"""H-score: how much of the features' variance lies between classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metatl.estimates.estimate import Pair, TransferabilityEstimate, Values, checked, one_hot


def shrinkage(centred: Values) -> float:
    """Ledoit and Wolf's share of mu I in the covariance of centred rows [n, d].

    min(b2, d2) / d2, with S = X'X / n, mu = tr S / d, d2 = |S - mu I|^2 / d and
    b2 = (sum_i |x_i|^4 / n - |S|^2) / (n d). Source: Ledoit & Wolf 2004.
    """
    n, d = centred.shape
    s = centred.T @ centred / n
    mu = np.trace(s) / d
    d2 = ((s - mu * np.eye(d)) ** 2).sum() / d
    b2 = (((centred**2).sum(1) ** 2).sum() / n - (s**2).sum()) / (n * d)
    return float(min(b2, d2) / d2) if d2 > 0 else 0.0


def h_score(features: Any, y: Any, shrunk: bool = True) -> float:
    """(1 - a) tr(C^+ B): C the covariance of the features, B that of their class means; 0 .. classes - 1.

    features [n, d], y [n] classes. shrunk: C = (1 - a) S + a mu I with Ledoit and Wolf's a, else a = 0, which
    says nothing for d >= n. Both covariances are over n. Source: Bao et al. 2019; Ibrahim et al. 2021,
    arXiv 2110.06893.
    """
    f, labels = checked(features, y)
    centred = f - f.mean(0)
    a = shrinkage(centred) if shrunk else 0.0
    n, d = centred.shape
    covariance = (1 - a) * centred.T @ centred / n + a * np.eye(d) * (centred**2).sum() / n / d
    hot = one_hot(labels)
    means = hot @ (hot.T @ centred / hot.sum(0)[:, None])
    return float((1 - a) * np.trace(np.linalg.pinv(covariance, hermitian=True) @ (means.T @ means / n)))


@dataclass(frozen=True)
class HScore(TransferabilityEstimate):
    """tr(cov(f)^-1 cov(E[f | y])) with a shrunk covariance: variance between classes over all of it.

    Source: Bao et al. 2019; Ibrahim et al. 2021, arXiv 2110.06893.
    """

    name: ClassVar[str] = "H-score"

    def fits(self, pair: Pair) -> bool:
        """Where the target has classes."""
        return pair.classes

    def __call__(self, pair: Pair) -> float:
        """`h_score`."""
        return h_score(pair.features, pair.y)
