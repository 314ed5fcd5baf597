"""Single numbers of the rows: how well each tells two domains apart, and how far it lies from itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.shifts.tested import Rows

NAMED = 5
"""Numbers of the report, at most."""


def areas(source: Rows, target: Rows) -> NDArray[np.float64]:
    """AUROC of every column of source [n, d] and target [m, d] by itself, [d], 0.5 to 1; 0.5 alike."""
    from scipy.stats import rankdata  # takes a while to import

    m, n = len(target), len(source)
    ranks = rankdata(np.concatenate([source, target]), axis=0)[n:].sum(0)
    area = (ranks - m * (m + 1) / 2) / (n * m)
    return np.maximum(area, 1 - area)


def distances(source: Rows, target: Rows) -> NDArray[np.float64]:
    """Wasserstein distance of every column of source [n, d] and target [m, d], [d].

    Integral of |F - G| over the values, F and G the two cumulative distributions, over the standard deviation
    of both domains' rows together; 0 where these are all alike. It sees a change of spread, which leaves an
    AUROC at 0.5. Source: Ramdas, Garcia Trillos & Cuturi 2017, arXiv 1509.02237.
    """
    from scipy.stats import wasserstein_distance

    spread = np.concatenate([source, target]).std(0)
    return np.array(
        [
            wasserstein_distance(source[:, i], target[:, i]) / one if one > 0 else 0.0
            for i, one in enumerate(spread)
        ]
    )


def telling(source: Rows, target: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    """The columns that tell the domains apart best by themselves, with their AUROC."""
    found = areas(source, target)
    return [{"input": names[i], "area": float(found[i])} for i in _largest(found)]


def furthest(source: Rows, target: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    """The columns whose distributions lie furthest apart, with their Wasserstein distance."""
    found = distances(source, target)
    return [{"input": names[i], "distance": float(found[i])} for i in _largest(found)]


def _largest(values: NDArray[np.float64]) -> list[int]:
    return np.argsort(-values, kind="stable")[:NAMED].tolist()
