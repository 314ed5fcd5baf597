"""Taskonomy's normalisation: sources of one target on one scale, whatever the target's unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
EDGE = 0.001
"""Shares lie within [EDGE, 1 - EDGE], so that no ratio is without bounds."""


def beats(losses: Any) -> Values:
    """W [s, s]: the share of rows on which source i has a lower loss than j, ties half; losses [s, rows]."""
    held = np.asarray(losses, np.float64)
    below = (held[:, None] < held[None]).mean(-1) + 0.5 * (held[:, None] == held[None]).mean(-1)
    return np.clip(below, EDGE, 1 - EDGE)


def affinity(losses: Any) -> Values:
    """[s], sums to 1: the principal eigenvector of W[i, j] / W[j, i] over the sources.

    It is the analytic hierarchy process: only the order of losses within a row counts. Source:
    Saaty 1987; Zamir et al. 2018, arXiv 1804.08328.
    """
    share = beats(losses)
    values, vectors = np.linalg.eig(share / share.T)
    found = np.abs(np.real(vectors[:, int(np.real(values).argmax())]))
    return found / found.sum()
