"""How the 1x1 filters of residual adapters start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.types import Params

Start = Literal["zeros", "he_normal"]


def filters(params: Params, names: dict[str, str], start: Start, inputs: bool, seed: int) -> Params:
    """1x1 filters [out, in] of every layer, named by it; `inputs`: in is what the layer takes, else out.

    Zeros, or normal of deviation sqrt(2 / out), as the published code draws them.
    """
    generator, made = torch.Generator().manual_seed(seed), Params()
    for layer, name in names.items():
        like = params[f"{layer}.weight"]
        size = len(like), like.shape[1] if inputs else len(like), *(1,) * (like.dim() - 2)
        drawn = torch.randn(size, generator=generator) * math.sqrt(2 / len(like))
        made[name] = like.new_zeros(size) if start == "zeros" else drawn.to(like)
    return made


def pointwise(x: Tensor, weight: Tensor, stride: Sequence[int] | None = None) -> Tensor:
    """The 1x1 convolution of x [n, in, ...] with weight [out, in, 1, ...]."""
    stride = stride or (1,) * (weight.dim() - 2)
    if weight.dim() == 3:
        return F.conv1d(x, weight, stride=list(stride))
    return F.conv2d(x, weight, stride=list(stride))
