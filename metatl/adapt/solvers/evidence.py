"""Ridge and noise by evidence, and how much wider an interval is whose noise was estimated."""

from __future__ import annotations

import torch
from torch import Tensor

NORMAL = 1.959963984540054
"""97.5 % of a normal variable lie below it."""
CAUCHY = 12.706204736432095
"""The same of Student's t with one degree of freedom."""
NOTHING = 1e-30
"""A variance that counts as none in any unit; one of float32 still."""
STRENGTHS = 49
"""Ridges that are looked at, from 1e-4 to 1e4 times the mean squared length of the centred rows."""


def best_ridge(
    x: Tensor, target: Tensor, weight: Tensor, known: float | None = None
) -> tuple[Tensor, Tensor]:
    """The ridge r 0-d and the noise variance s [outputs] of linear targets, by evidence.

    As `likely`, with the products X X^T of rows that are centred by their weighted means and scaled by
    sqrt(weight). x: [n, d]; target: [n, outputs]; weight: [n], whose sum counts as the number of rows;
    known: s, where it is.
    """
    share, root = _share(weight), weight.sqrt().unsqueeze(-1)
    x, target = (x - share @ x) * root, (target - share @ target) * root
    return likely(x @ x.T, target, weight.sum(), known)


def best_noise(kernel: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The same of a Gaussian process with the kernel [n, n] of its rows in place of their products."""
    share, root = _share(weight), weight.sqrt()
    across = share @ kernel
    kernel = kernel - across - across.unsqueeze(-1) + across @ share
    kernel = root.unsqueeze(-1) * kernel * root
    return likely(kernel, (target - share @ target) * root.unsqueeze(-1), weight.sum())


def likely(
    products: Tensor, target: Tensor, count: Tensor, known: float | None = None
) -> tuple[Tensor, Tensor]:
    """Under t ~ N(0, s (I + K / r)): r 0-d and s [outputs], of centred products K and targets t, float64.

    For a given r, s = t^T (I + K / r)^-1 t / (n - 1) is likeliest, in the n - 1 directions that centring
    leaves (type-II maximum likelihood: MacKay 1992), or the `known` one is taken. r is e to the mean of log r
    over a grid, weighted by that evidence, one for all outputs: few rows leave r open, and the best of them
    all would be an accident without noise. Where s is known, r is smaller by what n - 1 differences leave
    open of the prior's variance s / r (`widened`). Fewer than two rows say nothing of noise: s is 1. Targets
    that do not vary: s is near 0.

    products: [n, n]; target: [n, outputs]; count: n, 0-d.
    """
    given = target.new_full((target.shape[1],), 1.0 if known is None else known)
    if not len(products):
        return products.new_ones(()), given
    # eigh's derivative is not finite where eigenvalues repeat: a chosen ridge is a constant.
    lengths, vectors = torch.linalg.eigh(products.detach())
    parts, lengths = (vectors.T @ target).square(), lengths.clamp_min(0.0)
    scale = (lengths.sum() / count.clamp_min(1.0)).clamp_min(NOTHING)
    free = (count - 1).clamp_min(1.0)
    floor = 1e-10 * parts.sum(0) / free + NOTHING
    if known is not None:  # the grid lies about the ridge that explains targets of this size
        scale = scale / (parts.detach().sum(0) / free / given).mean().clamp_min(1.0)
    ridges = scale * torch.logspace(-4, 4, STRENGTHS, dtype=target.dtype, device=target.device)

    def noise_of(stretched: Tensor) -> Tensor:
        return torch.maximum((1 / stretched) @ parts / free, floor)

    stretched = 1 + lengths / ridges.unsqueeze(-1)  # [ridges, n]
    found = noise_of(stretched)
    lost = (free * (found.log() if known is None else found / given)).sum(-1)
    lost = lost + parts.shape[1] * stretched.log().sum(-1)
    ridge = ((-lost.detach() / 2).softmax(0) @ ridges.log()).exp()
    if known is not None:
        return ridge / widened(torch.ones_like(count), count - 1), given
    return ridge, torch.where(count > 1.5, noise_of(1 + lengths / ridge), given)


def _share(weight: Tensor) -> Tensor:
    return weight / weight.sum().clamp_min(1e-300)


def widened(noise: Tensor, degrees: Tensor) -> Tensor:
    """The variance of the normal whose 95 % interval is that of Student's t with these degrees of freedom.

    Where the variance `noise` was estimated from as many independent differences, a new row's predictive is a
    Student's t: with it as scale, an interval covers what it says in spite of the estimate (Zellner 1971).
    noise (t / z)^2, t and z the 97.5 % quantiles; t = z + g_1 / d + ... + g_4 / d^4 (Abramowitz & Stegun
    26.7.5; within 0.8 % from 2 degrees on), and its own value at 1 degree, the fewest that are counted.

    noise: [outputs]; degrees: of freedom, 0-d.
    """
    z, d = NORMAL, degrees.clamp_min(1.0)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    t = z + (first + (second + (third + fourth / d) / d) / d) / d
    return noise * (torch.where(d < 1.5, torch.full_like(t, CAUCHY), t) / z).square()
