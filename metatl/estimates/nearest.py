"""The nearest neighbour, left out one by one: the estimate to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metatl.estimates.estimate import Pair, TransferabilityEstimate, checked


def nearest_neighbour(features: Any, y: Any) -> float:
    """Share of rows whose nearest other row (Euclidean; the first of several) has their class, 0 .. 1.

    features [n, d], y [n]; of real values minus the mean squared difference. NaN for a single row.
    """
    f, t = checked(features, y)
    if len(f) < 2:
        return float("nan")
    f = f - f.mean(0)  # far from 0 the distances would be lost in rounding
    square = (f**2).sum(1)
    apart = square[:, None] + square[None, :] - 2 * f @ f.T
    np.fill_diagonal(apart, np.inf)
    other = t[apart.argmin(1)]
    return float((other == t).mean()) if t.dtype.kind in "iub" else float(-((other - t) ** 2).mean())


@dataclass(frozen=True)
class NearestNeighbour(TransferabilityEstimate):
    """Leave-one-out accuracy of one nearest neighbour on the source's features.

    Source: Bolya et al. 2021, arXiv 2111.06977, in whose benchmark few estimates beat it.
    """

    name: ClassVar[str] = "1-NN"

    def fits(self, pair: Pair) -> bool:
        """Always."""
        return True

    def __call__(self, pair: Pair) -> float:
        """`nearest_neighbour`."""
        return nearest_neighbour(pair.features, pair.y)
