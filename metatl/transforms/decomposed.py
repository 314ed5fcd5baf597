"""A low-rank change of a weight's direction, with its magnitude apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metatl.additions import Addition
from metatl.transforms.low_rank import LowRank
from metatl.transforms.low_rank_kernel import LowRankKernel, convolved_as
from metatl.transforms.targets import linear
from metatl.types import Params


@dataclass(frozen=True)
class Decomposed(Addition):
    """m / |V| * (V x) + b with V = W + scale * B A, |V| [out] the norm of its rows, m [out] magnitudes.

    |V| counts as a constant of the gradient. It is found from thin products; V is not made. A row of V that
    is 0 stays so whatever m is, and m / |V| is 1 there.
    """

    layer: str
    scale: float
    dropout: float = 0.0

    @property
    def direction(self) -> LowRank:
        """scale * B A."""
        return LowRank(self.layer, self.scale, self.dropout)

    @property
    def magnitude(self) -> str:
        """The name of m."""
        return f"{self.layer}.lora_magnitude_vector"

    def names(self) -> tuple[str, ...]:
        """A, B and m."""
        return *self.direction.names(), self.magnitude

    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """The layer's output and the low-rank product, rescaled; the bias is as it was."""
        weight, bias = tensors[f"{self.layer}.weight"], tensors.get(f"{self.layer}.bias")
        along = (-1,) + (1,) * (weight.dim() - 2)
        scale = self.share(tensors[self.magnitude], self.norm(tensors).detach()).view(along)
        thin = self.scale * self.direction.thin(tensors, x, training)
        if bias is None:
            return scale * (output + thin)
        return scale * (output - bias.view(along) + thin) + bias.view(along)

    @staticmethod
    def share(magnitude: Tensor, norm: Tensor) -> Tensor:
        """m / |V| [out]; 1 where a row of V is 0 (a dead one, or one that starts there)."""
        return torch.where(norm > 0, magnitude / torch.where(norm > 0, norm, 1), 1)

    def norm(self, tensors: Params) -> Tensor:
        """|W + s B A| by row, [out], s = scale: |W|^2 + 2 s (W A') . B + s^2 (B A A') . B under the root."""
        down, up = (tensors[name].flatten(1) for name in self.direction.names())
        weight = tensors[f"{self.layer}.weight"].flatten(1)
        cross = ((weight @ down.T) * up).sum(1)
        square = ((up @ (down @ down.T)) * up).sum(1)
        return (
            ((weight * weight).sum(1) + 2 * self.scale * cross + self.scale**2 * square).clamp_min(0).sqrt()
        )

    def merged(self, params: Params) -> Params:
        """m / |V| * V."""
        name = f"{self.layer}.weight"
        whole = params[name] + self.direction.product(params)
        scale = self.share(params[self.magnitude], whole.flatten(1).norm(dim=1))
        return {name: whole * scale.view(-1, *(1,) * (whole.dim() - 1))}


@dataclass(frozen=True)
class DecomposedKernel(Decomposed):
    """The same at a convolution, V its kernels [out, in, kh, kw]: m / |V| * (V * x) + b, |V| by kernel."""

    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] | str = (0, 0)
    dilation: tuple[int, ...] = (1, 1)

    @property
    def direction(self) -> LowRankKernel:
        """scale * B * (A * x)."""
        return LowRankKernel(self.layer, self.scale, self.dropout, self.stride, self.padding, self.dilation)


def decomposed(layer: nn.Module, name: str, scale: float, dropout: float) -> Decomposed:
    """The addition at a layer of this name."""
    if linear(layer):
        return Decomposed(name, scale, dropout)
    return DecomposedKernel(name, scale, dropout, **convolved_as(layer))
