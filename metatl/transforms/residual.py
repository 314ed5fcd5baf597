"""What residual adapters of convolutional nets have in common: where they stand, and how they start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.net import Net
from metatl.transforms.targets import check_pattern, meant, nothing_meant, spatial
from metatl.transforms.transform import Transform
from metatl.types import Params

Start = Literal["zeros", "he_normal"]


@dataclass(frozen=True)
class ResidualAdapters(Transform):
    """1x1 filters of their own at full convolutions wider than 1x1.

    Args:
        targets: `all-spatial` (every convolution of odd width above 1, not grouped, padded to keep its
            centre on x), or a regular expression that is found in the names of those meant.
        start: of A: `zeros`, so that the net starts as it was, or `he_normal`, as published.
        seed: of A.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    targets: str = "all-spatial"
    start: Start = "zeros"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a broken regular expression."""
        check_pattern(type(self).__name__, self.targets)

    def layers(self, net: Net) -> list[str]:
        """The names of the layers meant; MetatlError for none."""
        found = meant(net, spatial, self.targets, "all-spatial")
        if not found:
            raise nothing_meant(type(self).__name__, net, spatial, self.targets)
        return found


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
