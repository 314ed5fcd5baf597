"""Canonical correlations with a ridge: paired rows of unlike inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.types import MetatlError


@dataclass(frozen=True)
class Paired:
    """Directions of two views, [d, k] and [e, k], with each view's mean; correlations [k], largest first."""

    one: Tensor
    other: Tensor
    means: tuple[Tensor, Tensor]
    correlations: Tensor

    def first(self, x: Tensor) -> Tensor:
        """Rows [n, d] of the first view in the shared space, [n, k]."""
        return (x.double() - self.means[0]) @ self.one

    def second(self, z: Tensor) -> Tensor:
        """Rows [n, e] of the second view, [n, k]."""
        return (z.double() - self.means[1]) @ self.other


def paired(x: Tensor, z: Tensor, k: int, ridge: float = 1e-3) -> Paired:
    """Canonical correlation analysis: max a'C_xz b with a'(C_xx + r I)a = b'(C_zz + s I)b = 1, k times.

    From the singular values of (C_xx + r I)^-1/2 C_xz (C_zz + s I)^-1/2 (Hotelling 1936; with ridges
    r, s = ridge times each view's mean variance, Vinod 1976), in float64. x [n, d] and z [n, e]: the same n
    things, row by row. Without a ridge, and with more columns than rows, all correlations would be 1. Raises
    MetatlError for unequal numbers of rows, k out of 1 .. min(d, e), and ridge < 0.
    """
    if len(x) != len(z) or len(x) < 2:
        raise MetatlError(f"paired: {len(x)} and {len(z)} rows; give the same things twice, two or more")
    most = min(x.shape[1], z.shape[1])
    if not 1 <= k <= most or ridge < 0:
        raise MetatlError(f"paired: k is {k}, of 1 .. {most}, and ridge {ridge:g}, which is 0 or more")
    means = x.double().mean(0), z.double().mean(0)
    one, other = x.double() - means[0], z.double() - means[1]
    roots = [_inverse_root(view.T @ view / len(x), ridge) for view in (one, other)]
    left, size, right = torch.linalg.svd(roots[0] @ (one.T @ other / len(x)) @ roots[1], full_matrices=False)
    return Paired(roots[0] @ left[:, :k], roots[1] @ right.mT[:, :k], means, size[:k])


def _inverse_root(covariance: Tensor, ridge: float) -> Tensor:
    """(C + r I)^-1/2, r = ridge tr C / d; 0 in directions without variance."""
    size, axes = torch.linalg.eigh(covariance)
    size = size + ridge * covariance.diagonal().mean()
    kept = size > 1e-12 * size.max()
    root = torch.where(kept, size.clamp_min(1e-300).rsqrt(), torch.zeros(()).double())
    return (axes * root) @ axes.mT
