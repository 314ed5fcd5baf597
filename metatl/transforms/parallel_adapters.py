"""1x1 convolutions beside the convolutions of a net."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from metatl.additions import Addition
from metatl.net import Net
from metatl.norm import norm_weights
from metatl.transforms.residual import ResidualAdapters, filters, pointwise
from metatl.transforms.transform import extended
from metatl.types import Params, Transfer


@dataclass(frozen=True)
class Parallel(Addition):
    """output + A * x, with 1x1 filters A [out, in] and the convolution's own stride."""

    layer: str
    stride: tuple[int, ...]

    @property
    def weight(self) -> str:
        """The name of A."""
        return f"{self.layer}.parallel.weight"

    def names(self) -> tuple[str, ...]:
        """The filters."""
        return (self.weight,)

    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """The output with a 1x1 convolution of the same input."""
        return output + pointwise(x, tensors[self.weight], self.stride)

    def merged(self, params: Params) -> Params:
        """W with A added at its centre."""
        name = f"{self.layer}.weight"
        new = params[name].clone()
        centre = tuple(size // 2 for size in new.shape[2:])
        new[(..., *centre)] += params[self.weight].flatten(1)
        return {name: new}


@dataclass(frozen=True)
class ParallelAdapters(ResidualAdapters):
    """W * x + A * x beside every full convolution wider than 1x1, A of 1x1; then the net's own norm.

    A, the norms' scales and shifts and the output layer move. Merged it is W with A at its centre. Source:
    Rebuffi, Bilen & Vedaldi 2018, arXiv 1803.10082.

    Args:
        targets: `all-spatial` (every convolution of odd width above 1, not grouped, padded to keep its
            centre on x), or a regular expression that is found in the names of those meant.
        start: of A: `zeros`, so that the net starts as it was, or `he_normal`, as published.
        seed: of A.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with 1x1 convolutions and the transfer with their filters."""
        added = [Parallel(name, _stride(net.module, name)) for name in self.layers(net)]
        names = {one.layer: one.weight for one in added}
        made = filters(transfer.params, names, self.start, True, self.seed)
        return extended(net, transfer, added, made, moving=norm_weights(net.module))


def _stride(module: nn.Module, name: str) -> tuple[int, ...]:
    layer = module.get_submodule(name)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    return tuple(layer.stride)
