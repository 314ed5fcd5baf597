"""The low-rank product that LoRA and what came of it add."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.additions import Addition
from metatl.types import Params

Scaling = Literal["standard", "rank_stabilised"]


@dataclass(frozen=True)
class LowRank(Addition):
    """output + scale * B (A x), with A [r, in] and B [out, r], at a linear layer or a 1x1 convolution.

    dropout: share of x's entries that are left out of the product in training.
    """

    layer: str
    scale: float
    dropout: float = 0.0

    @property
    def down(self) -> str:
        """The name of A."""
        return f"{self.layer}.lora_A.weight"

    @property
    def up(self) -> str:
        """The name of B."""
        return f"{self.layer}.lora_B.weight"

    def names(self) -> tuple[str, ...]:
        """A and B."""
        return self.down, self.up

    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """Two thin products; the layer's own weight is not touched."""
        return torch.add(output, self.thin(tensors, x, training), alpha=self.scale)

    def thin(self, tensors: Params, x: Tensor, training: bool) -> Tensor:
        """B (A x) [n, out] for x [n, in]; of pictures [n, out, h, w]."""
        if self.dropout and training:
            x = F.dropout(x, self.dropout)
        down, up = tensors[self.down], tensors[self.up]
        if down.dim() > 2:
            return F.conv2d(F.conv2d(x, down), up)
        return F.linear(F.linear(x, down), up)

    def product(self, params: Params) -> Tensor:
        """scale * B A, in the shape of the layer's weight, [out, in] of a linear one."""
        down, up = params[self.down], params[self.up]
        return self.scale * (up.flatten(1) @ down.flatten(1)).view(len(up), *down.shape[1:])

    def merged(self, params: Params) -> Params:
        """W + scale * B A."""
        name = f"{self.layer}.weight"
        return {name: params[name] + self.product(params)}


def scale_of(alpha: float, r: int, scaling: Scaling) -> float:
    """alpha / r, or alpha / sqrt(r)."""
    return alpha / (r if scaling == "standard" else math.sqrt(r))


def low_rank(weights: Params, r: int, seed: int) -> Params:
    """A uniform in +-1 / sqrt(in) and B 0 for layers with these weights, by layer.

    A kernel [out, in, kh, kw] gives A [r, in, kh, kw], with in kh kw for in, and B [out, r, 1, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    made: Params = {}
    for name, weight in weights.items():
        down = torch.rand(r, *weight.shape[1:], generator=generator) * 2 - 1
        made[f"{name}.lora_A.weight"] = (down / math.sqrt(weight[0].numel())).to(weight)
        made[f"{name}.lora_B.weight"] = weight.new_zeros(len(weight), r, *(1 for _ in weight.shape[2:]))
    return made
