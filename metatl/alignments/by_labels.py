"""DAMA: linear maps of unlike inputs, whose rows are labelled on both sides, to one space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metatl.types import MetatlError


@dataclass(frozen=True)
class ByLabels:
    """Maps of source [d, k] and target [e, k], with each one's mean; values [k], largest first."""

    source: Tensor
    target: Tensor
    means: tuple[Tensor, Tensor]
    values: Tensor

    def of_source(self, x: Tensor) -> Tensor:
        """Rows [n, d] in the shared space, [n, k]."""
        return (x.double() - self.means[0]) @ self.source

    def of_target(self, z: Tensor) -> Tensor:
        """Rows [m, e], [m, k]."""
        return (z.double() - self.means[1]) @ self.target


def laplacian(alike: Tensor) -> Tensor:
    """D - W of symmetric weights W [n, n]: f'(D - W)f is the sum over pairs of w (f_i - f_j)^2."""
    return alike.sum(1).diag() - alike


def neighbours(x: Tensor, count: int) -> Tensor:
    """1 where one of two rows is among the other's `count` nearest, else 0, [n, n]."""
    distance = torch.cdist(x, x)
    distance.fill_diagonal_(float("inf"))
    near = distance.topk(min(count, len(x) - 1), largest=False).indices
    found = torch.zeros_like(distance).scatter_(1, near, 1.0)
    return torch.maximum(found, found.mT)


def pencil(x: Tensor, y: Tensor, z: Tensor, t: Tensor, mu: float, count: int) -> tuple[Tensor, Tensor]:
    """A = Z (mu L + L_same) Z' and B = Z L_other Z', [d + e, d + e], Z = blkdiag(x', z') of centred rows.

    L: nearest neighbours inside each domain; L_same, L_other: rows of one class, and of different ones.
    """
    rows = torch.block_diag(x, z)
    label = torch.cat([y, t])
    same = (label[:, None] == label[None]).double()
    near = torch.block_diag(neighbours(x, count), neighbours(z, count))
    a = rows.mT @ (mu * laplacian(near) + laplacian(same)) @ rows
    return a, rows.mT @ laplacian(1 - same) @ rows


def by_labels(
    x: Tensor, y: Tensor, z: Tensor, t: Tensor, k: int, mu: float = 1.0, count: int = 5, ridge: float = 1e-6
) -> ByLabels:
    """Manifold alignment from labels (Wang & Mahadevan 2011): the k largest of B v = value (A + r I) v.

    Rows of one class come to lie together across domains, those of different ones apart, and neighbours of a
    domain stay neighbours (mu). x [n, d] with classes y [n], z [m, e] with classes t [m]; r = ridge times A's
    mean diagonal. Published are the smallest of A v = value B v, the same vectors at r = 0; a ridge on B
    would put directions first in which no row differs, of which there are many where columns are more than
    rows. Raises MetatlError where no class is shared, there is one only, or k is out of range.
    """
    shared = {*y.tolist()} & {*t.tolist()}
    if not shared or len({*y.tolist(), *t.tolist()}) < 2:
        raise MetatlError("by_labels: the domains share no class, or have one only, so nothing is told apart")
    if not 1 <= k <= x.shape[1] + z.shape[1]:
        raise MetatlError(f"by_labels: k is {k}, of 1 .. {x.shape[1] + z.shape[1]}")
    from scipy.linalg import eigh  # takes a while to import

    means = x.double().mean(0), z.double().mean(0)
    a, b = pencil(x.double() - means[0], y, z.double() - means[1], t, mu, count)
    a = a + ridge * a.diagonal().mean() * torch.eye(len(a)).double()
    values, vectors = eigh(b.numpy(), a.numpy(), subset_by_index=(len(a) - k, len(a) - 1))
    found = torch.from_numpy(np.ascontiguousarray(vectors[:, ::-1]))
    values = torch.from_numpy(np.ascontiguousarray(values[::-1]))
    return ByLabels(found[: x.shape[1]], found[x.shape[1] :], means, values)
