"""Ridge and noise by evidence."""

from __future__ import annotations

import torch
from torch import Tensor

STRENGTHS = 49
"""Ridges that are looked at, from 1e-4 to 1e4 times the mean squared length of the centred rows."""


def best_ridge(x: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The ridge r 0-d and the noise variance s [outputs] under which centred targets are likeliest.

    Rows centred by their weighted means and scaled by sqrt(weight): t ~ N(0, s (I + X X^T / r)) in the n - 1
    directions that centring leaves, for which s = 1 / (n - 1) t^T (I + X X^T / r)^-1 t is likeliest; r is the
    best of a grid, the same for all outputs (type-II maximum likelihood: MacKay 1992). n is the sum of the
    weights. Fewer than two rows say nothing of noise: s is 1. Targets that do not vary have an s near 0.

    x: [n, d]; target: [n, outputs]; weight: [n]; float64.
    """
    count = weight.sum()
    share = weight / count.clamp_min(1e-300)
    root = weight.sqrt().unsqueeze(-1)
    x, target = (x - share @ x) * root, (target - share @ target) * root
    if not len(x):
        return x.new_ones(()), x.new_ones(target.shape[1])
    # eigh's derivative is not finite where eigenvalues repeat: a chosen ridge is a constant.
    lengths, vectors = torch.linalg.eigh((x @ x.T).detach())
    parts, lengths = (vectors.T @ target).square(), lengths.clamp_min(0.0)
    scale = (lengths.sum() / count.clamp_min(1.0)).clamp_min(1e-12)
    ridges = scale * torch.logspace(-4, 4, STRENGTHS, dtype=x.dtype, device=x.device)
    stretched = 1 + lengths / ridges.unsqueeze(-1)  # [ridges, n]
    free = (count - 1).clamp_min(1.0)
    noise = (1 / stretched) @ parts / free
    floor = 1e-10 * parts.sum(0) / free + 1e-12
    noise = torch.maximum(noise, floor)
    value = -(free * noise.log().sum(-1) + parts.shape[1] * stretched.log().sum(-1)) / 2
    best = value.argmax().unsqueeze(0)
    chosen = noise.index_select(0, best).squeeze(0)
    known = torch.where(count > 1.5, chosen, torch.ones_like(chosen))
    return ridges.index_select(0, best).squeeze(0), known
