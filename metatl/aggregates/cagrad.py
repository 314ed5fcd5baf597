"""CAGrad."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from metatl.aggregates.gramian import GramianAggregate, Matrix, nearest
from metatl.types import MetatlError

_STATIONARY = 1e-4
"""|g_w| over the sum of w_i |g_i| below which no direction helps every task, whatever their lengths."""


@dataclass(frozen=True)
class CAGrad(GramianAggregate):
    """g_0 + c |g_0| g_w / |g_w|: of all d with |d - g_0| <= c |g_0| that which helps the worst task most.

    g_0 is the mean, and w = argmin of g_w . g_0 + c |g_0| |g_w| over w >= 0 with sum 1. c = 0 is the mean;
    large
    ones go towards MGDA's direction. 0 where g_w is: there no direction helps every task. Source: Liu et al.
    2021, arXiv 2110.14048.

    Args:
        c: radius over |g_0|. Published code has 0.4 and 0.5, some of it with the sum over 1 + c^2.
    """

    c: float = 0.4
    halts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise MetatlError for a c below 0."""
        if not 0.0 <= self.c < math.inf:
            raise MetatlError(f"CAGrad: c is {self.c}; give a finite number, 0 or more")

    def weights(self, gramian: Matrix) -> Matrix:
        """1/k + c |g_0| / |g_w| w.

        |g_w| is the least value over t > 0 of |g_w|^2 / 2t + t/2, and for a given t the objective is that of
        the shortest vector in the hull of the g_i + t / (c |g_0|) g_0: one number is searched for, t = |g_w|.
        """
        from scipy.optimize import brentq  # takes a while to import

        k, trace = len(gramian), float(np.trace(gramian))
        mean = np.full(k, 1.0 / k)
        scaled = gramian / trace if trace else gramian
        radius = self.c * _norm(scaled, mean)
        if not radius:
            return mean

        def chosen(t: float) -> Matrix:
            moved = np.eye(k) + t / radius * np.full((k, k), 1.0 / k)
            return nearest(moved @ scaled @ moved.T)

        def beyond(t: float) -> float:
            return t - _norm(scaled, chosen(t))

        length = np.sqrt(scaled.diagonal())
        most = float(length.max())
        low = _STATIONARY * float(length.min())  # not 0: where gradients cancel, |g_w| is 0 there for any c
        t = 0.0 if beyond(low) >= 0 else cast("float", brentq(beyond, low, most + 1e-12, xtol=1e-15))
        w = chosen(t)
        size = _norm(scaled, w)
        return mean + radius / size * w if size > _STATIONARY * float(w @ length) else np.zeros(k)


def _norm(gramian: Matrix, w: Matrix) -> float:
    return math.sqrt(max(float(w @ gramian @ w), 0.0))
