"""The low-rank product at a convolution: a thin convolution, and a 1x1 one after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from metatl.transforms.low_rank import LowRank
from metatl.transforms.targets import adaptable
from metatl.types import Params

_CONVOLVED = {3: F.conv1d, 4: F.conv2d}


@dataclass(frozen=True)
class LowRankKernel(LowRank):
    """output + scale * B * (A * x): A [r, in, kh, kw] with the layer's stride, B [out, r, 1, 1].

    As a matrix [out, in kh kw] the kernel changes by scale * B A, of rank r, as in peft.
    """

    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] | str = (0, 0)
    dilation: tuple[int, ...] = (1, 1)

    def thin(self, tensors: Params, x: Tensor, training: bool) -> Tensor:
        """B * (A * x) [n, out, ...] for x [n, in, ...]."""
        if self.dropout and training:
            x = F.dropout(x, self.dropout)
        down, up = tensors[self.down], tensors[self.up]
        convolved = _CONVOLVED[down.dim()]
        return convolved(convolved(x, down, None, self.stride, self.padding, self.dilation), up)


def kernel(layer: nn.Module) -> bool:
    """Whether a layer is a convolution that a low-rank product can be added to, called as a module."""
    return isinstance(layer, nn.Conv1d | nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"


def pointwise(layer: nn.Module) -> bool:
    """Whether such a convolution has a kernel of one entry a channel, with any stride."""
    sides: tuple[int, ...] = getattr(layer, "kernel_size", ())
    return kernel(layer) and max(sides) == 1


def convolved_as(layer: nn.Module) -> dict[str, Any]:
    """Stride, padding and dilation of a convolution, as its addition takes them."""
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    return {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}


def product(layer: nn.Module, name: str, scale: float, dropout: float) -> LowRank:
    """The addition at a layer of this name."""
    if adaptable(layer):
        return LowRank(name, scale, dropout)
    return LowRankKernel(name, scale, dropout, **convolved_as(layer))
