"""Nash-MTL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metatl.aggregates.gramian import GramianAggregate, Matrix

_STEPS, _CLOSE, _RIDGE = 200, 1e-12, 1e-13


@dataclass(frozen=True)
class NashMTL(GramianAggregate):
    """1/k sum of w_i g_i, w > 0 with G / |G| w = 1 / w: the bargain of tasks that want d . g_i large.

    w is where 1/2 w^T G w - sum of log w_i is least, found by Newton's steps to rounding; a task whose
    gradient
    is 0 takes no part. Published code solves a sequence of convex problems to 1e-3, takes the sum (k times
    this), and then bounds its norm by 1, which is `clip_norm` of a learner. Source: Navon et al. 2022, arXiv
    2202.01017.
    """

    def weights(self, gramian: Matrix) -> Matrix:
        """1/k w, 0 for those that take no part."""
        k = len(gramian)
        held = np.flatnonzero(gramian.diagonal() > 0)
        found = np.zeros(k)
        if len(held):
            part = gramian[np.ix_(held, held)]
            length = np.sqrt(part.diagonal())  # w_i |g_i| hangs on angles alone, so that no unit is lost
            angles = part / length[:, None] / length
            found[held] = np.sqrt(np.linalg.norm(part)) * _bargain(angles) / length / k
        return found


def _bargain(gramian: Matrix) -> Matrix:
    """w > 0 with G w = 1 / w, by damped Newton on a self-concordant function."""
    matrix = gramian + _RIDGE * np.eye(len(gramian))
    w = 1.0 / np.sqrt(matrix.diagonal() * len(matrix))
    for _ in range(_STEPS):
        slope = matrix @ w - 1.0 / w
        step = np.linalg.solve(matrix + np.diag(1.0 / w**2), slope)
        decrement = float(np.sqrt(max(slope @ step, 0.0)))
        w = w - step / (1.0 + decrement if decrement > 0.25 else 1.0)
        if decrement < _CLOSE:
            break
    return w
