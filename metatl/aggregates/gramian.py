"""Aggregates that are weighted sums, with weights that inner products of the gradients say."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl import tree
from metatl.aggregates.aggregate import Aggregate, combined
from metatl.types import Params

Matrix = NDArray[np.float64]


class GramianAggregate(Aggregate):
    """d = sum of w_i g_i, where w [k] is a function of G = (g_i . g_j) [k, k] alone.

    All variables together are one vector. G is small: it is taken to float64 and to the host.
    """

    @abstractmethod
    def weights(self, gramian: Matrix) -> Matrix:
        """w [k], for G [k, k]."""

    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """The weighted sum; no state. One that is not finite gives a mean, which is not finite either."""
        held = gramian(gradients)
        k = len(held)
        found = self.weights(held) if np.isfinite(held).all() else np.full(k, 1.0 / k)
        return combined(torch.from_numpy(found), gradients), {}


def gramian(gradients: Params) -> Matrix:
    """G [k, k] of gradients [k, ...] by variable."""
    flat = [tree.lines(leaf.detach()) for leaf in gradients.values()]
    return torch.stack([(leaf @ leaf.T).double().cpu() for leaf in flat]).sum(0).numpy()


def root(matrix: Matrix) -> Matrix:
    """A with A^T A = matrix, for a symmetric one without negative eigenvalues (but for rounding)."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.sqrt(values.clip(min=0.0))[:, None] * vectors.T


def nearest(matrix: Matrix) -> Matrix:
    """w = argmin of w^T matrix w over w >= 0 with sum 1: the shortest vector of a convex hull.

    u = argmin of u^T matrix u + (sum u - 1)^2 over u >= 0, which non-negative least squares gives, points the
    same way: for u = s w the best s depends on w^T matrix w alone. Found as u_i |g_i| / min |g|, so that
    neither part is lost, nor a short vector beside a long one; one of length 0 is the nearest.
    """
    from scipy.optimize import nnls  # takes a while to import

    length = np.sqrt(matrix.diagonal().clip(min=0.0))
    if not length.min():
        return (length == 0) / (length == 0).sum()
    shares = length.min() / length
    rows = np.vstack([root(matrix / length[:, None] / length), shares])
    found, _ = nnls(rows, np.append(np.zeros(len(matrix)), 1.0), maxiter=100 * len(matrix))
    found = found * shares
    return found / found.sum()
