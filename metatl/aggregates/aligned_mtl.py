"""Aligned-MTL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metatl.aggregates.gramian import GramianAggregate, Matrix


@dataclass(frozen=True)
class AlignedMTL(GramianAggregate):
    """The mean of gradients that were made orthogonal and equally long, as near to the g_i as can be.

    With G = V diag(l) V^T over the eigenvalues above 0, w = sqrt(min l) V diag(l)^-1/2 V^T 1/k: all
    singular values of the gradients become the smallest one. Source: Senushkin et al. 2023, arXiv 2305.19000.
    """

    def weights(self, gramian: Matrix) -> Matrix:
        """B 1/k."""
        k = len(gramian)
        values, vectors = np.linalg.eigh(gramian)
        held = values > values.max() * k * np.finfo(np.float64).eps
        if not held.any():
            return np.full(k, 1.0 / k)
        values, vectors = values[held], vectors[:, held]
        return vectors @ (np.sqrt(values.min() / values) * (vectors.T @ np.full(k, 1.0 / k)))
