"""Rows and targets of a table as a net reads them: filled up, standardised, as numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.types import MetatlError


def standardised(near: Tensor, far: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Support rows near [m, d] and query rows far [n, d] by mean and deviation of near under weights [m].

    Of columns that do not vary the mean alone is taken off. All are times sqrt(d / those that vary), and
    values beyond 5 deviations are cut.
    """
    total = weight.sum().clamp_min(1e-30)
    first, second = _units(near)
    own = near * first * second
    mean = weight @ own / total
    variance = weight @ (own - mean).square() / total
    varies = variance > 1e-10 * (1e-2 + mean.square())
    count = varies.sum(-1).clamp_min(1).to(near.dtype)
    scale = torch.where(varies, variance.clamp_min(1e-30).rsqrt(), 1.0)
    scale = scale * (near.shape[-1] / count).sqrt()
    widest = 5.0 * (near.shape[-1] / count).sqrt()
    mean = torch.where(varies, mean, weight @ near / total)
    near, far = (torch.where(varies, x * first * second, x) for x in (near, far))
    near, far = (((x - mean) * scale).maximum(-widest).minimum(widest) for x in (near, far))
    return near, far


def filled(x: Tensor, columns: int) -> Tensor:
    """Rows [n, ...] as [n, columns], zeros behind what they have; raises MetatlError for more columns."""
    x = x.flatten(1)
    if x.shape[1] > columns:
        raise MetatlError(
            f"there are {x.shape[1]} columns, and the net was trained for at most {columns}; take fewer "
            "columns, or another method"
        )
    return nn.functional.pad(x, (0, columns - x.shape[1]))


def one_hot(y: Tensor, classes: int) -> Tensor:
    """[m, classes] of class indices y [m]."""
    return y.unsqueeze(-1) == torch.arange(classes, device=y.device)


def values(y: Tensor, outputs: int) -> Tensor:
    """[m, outputs] of real targets y [m] or [m, outputs]."""
    return y.reshape(-1, outputs)


def _units(near: Tensor) -> tuple[Tensor, Tensor]:
    """Powers of 2, two for each column [d]: times both its largest value is 1 to 2, whatever it was."""
    if not near.shape[0]:
        return near.new_ones(near.shape[1]), near.new_ones(near.shape[1])
    size = near.detach().abs().amax(0)
    places = -torch.where(size > 0, size, 1.0).log2().floor()
    half = (places / 2).floor()  # 2^-127 and 2^149 would leave the numbers on the way
    return half.exp2(), (places - half).exp2()
