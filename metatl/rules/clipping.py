"""Clipping a gradient by its norm over all weights."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.types import Guide, MetatlError, Params


def clipped(grads: Params, most: float | None, guide: Guide | None = None) -> Params:
    """min(1, most / norm) * gradient; the gradient as it is for None, and bit by bit where the norm is less.

    norm: Euclidean, over all weights together; under a guide over the entries that it lets move, so that it
    does not matter whether frozen weights were differentiated. Differentiable, at a gradient of 0 too.
    """
    if most is None:
        return grads
    squares = [_square(grad, None if guide is None else guide[name]) for name, grad in grads.items()]
    square = torch.stack(squares).sum()
    over = square > most * most
    # The root is taken of 1 where nothing is clipped: its derivative at 0 is infinite.
    factor = torch.where(over, most * torch.where(over, square, 1.0).rsqrt(), 1.0)
    return {name: grad * factor.to(grad.dtype) for name, grad in grads.items()}


def check_clip_norm(most: float | None, where: str) -> None:
    """Raise MetatlError for a bound that is not above 0."""
    if most is not None and not 0 < most < float("inf"):
        raise MetatlError(f"{where}: clip_norm is {most}; give a number above 0, or leave it out")


def _square(grad: Tensor, guide: Tensor | None) -> Tensor:
    wide = grad.to(torch.promote_types(grad.dtype, torch.float32))
    return (wide if guide is None else torch.where(guide != 0, wide, 0.0)).square().sum()
