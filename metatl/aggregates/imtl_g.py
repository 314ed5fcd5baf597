"""IMTL-G."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metatl.aggregates.gramian import GramianAggregate, Matrix


@dataclass(frozen=True)
class IMTLG(GramianAggregate):
    """sum of w_i g_i, sum 1, whose projections on all g_i / |g_i| are alike: w ~ G^+ |g|.

    Weights may be negative; where they sum to 0 the gradient is 0. Source: Liu et al. 2021, Towards Impartial
    Multi-task Learning (ICLR).
    """

    def weights(self, gramian: Matrix) -> Matrix:
        """G^+ sqrt(diag G) over its sum."""
        inverse = np.linalg.pinv(gramian, rcond=len(gramian) * np.finfo(np.float64).eps, hermitian=True)
        found: Matrix = np.asarray(inverse @ np.sqrt(gramian.diagonal()), np.float64)
        total = float(found.sum())
        return found / total if abs(total) > 1e-12 * float(np.abs(found).sum()) else np.zeros(len(found))
