"""UPGrad."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from dataclasses import dataclass

import numpy as np

from metatl.aggregates.gramian import GramianAggregate, Matrix, root


@dataclass(frozen=True)
class UPGrad(GramianAggregate):
    """1/k sum of p_i: each g_i projected onto the directions along which no loss rises.

    d . g_j >= 0 for all j. Gradients that agree give their mean. The projection of g_i has the weights argmin
    of v^T G' v over v >= e_i, with G' = G / trace G + ridge I. Source: Quinton & Rey 2024, arXiv 2406.16232.

    Args:
        ridge: what makes the projection unique where gradients depend on each other.
    """

    ridge: float = 1e-4

    def weights(self, gramian: Matrix) -> Matrix:
        """The mean of the projections' weights."""
        from scipy.optimize import nnls  # takes a while to import

        k, trace = len(gramian), float(np.trace(gramian))
        scaled = (gramian / trace if trace else gramian) + self.ridge * np.eye(k)
        rows = root(scaled)
        found = np.eye(k)
        for i in range(k):  # v = e_i + u with u >= 0
            found[i] += nnls(rows, -rows[:, i], maxiter=100 * k)[0]
        return found.mean(0)
