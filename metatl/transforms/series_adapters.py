"""Normalised 1x1 convolutions after the convolutions of a net."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.additions import Addition
from metatl.net import Net
from metatl.norm import norm_weights
from metatl.transforms.residual import ResidualAdapters, filters, pointwise
from metatl.transforms.transform import extended
from metatl.types import Buffers, Params, Transfer

_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Series(Addition):
    """y + A * BN(y) for a convolution's output y, with 1x1 filters A [out, out] and its own batch norm."""

    layer: str

    @property
    def weight(self) -> str:
        """The name of A."""
        return f"{self.layer}.series.conv.weight"

    @property
    def norm(self) -> tuple[str, ...]:
        """The names of scale, shift, running mean and running variance."""
        return tuple(f"{self.layer}.series.norm.{own}" for own in _NORM)

    def names(self) -> tuple[str, ...]:
        """The filters and the norm."""
        return self.weight, *self.norm

    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """The output with a 1x1 convolution of itself, normalised."""
        scale, shift, mean, var = (tensors[name] for name in self.norm)
        normal = F.batch_norm(output, mean, var, scale, shift)
        return output + pointwise(normal, tensors[self.weight])


@dataclass(frozen=True)
class SeriesAdapters(ResidualAdapters):
    """y + A * BN(y) after every full convolution wider than 1x1, A of 1x1; then the net's own norm.

    A, BN, the norms' scales and shifts and the output layer move. BN's moments are chosen as those of every
    batch norm; its running ones start as those of the norm that is registered after the convolution, which
    sees the same y, else as 0 and 1. Merged it is a part of the module, as its moments may come from a batch.
    Source: Rebuffi, Bilen & Vedaldi 2017, arXiv 1705.08045.

    Args:
        targets: `all-spatial` (every convolution of odd width above 1, not grouped, padded to keep its
            centre on x), or a regular expression that is found in the names of those meant.
        start: of A: `zeros`, so that the net starts as it was, or `he_normal`, as published.
        seed: of A.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with adapters and the transfer with their filters, norms and moments."""
        added = [Series(name) for name in self.layers(net)]
        names = {one.layer: one.weight for one in added}
        made = filters(transfer.params, names, self.start, False, self.seed)
        moments: Buffers = {}
        for one in added:
            like = transfer.params[f"{one.layer}.weight"]
            scale, shift, mean, var = one.norm
            made[scale], made[shift] = like.new_ones(len(like)), like.new_zeros(len(like))
            moments[mean], moments[var] = _seen_after(net.module, one.layer, transfer.buffers, made[scale])
        new, carried = extended(net, transfer, added, made, moments, norm_weights(net.module))
        return replace(new, batch_moments=True), carried


def _seen_after(module: nn.Module, layer: str, buffers: Buffers, ones: Tensor) -> tuple[Tensor, Tensor]:
    """Running moments of the norm that is registered next after a layer; 0 and 1 where none fits."""
    names = [name for name, child in module.named_modules() if not list(child.children())]
    after = names[names.index(layer) + 1 :][:1]
    mean, var = (buffers.get(f"{name}.{own}") for name in after or [""] for own in _NORM[2:])
    if mean is None or var is None or mean.shape != ones.shape:
        return torch.zeros_like(ones), ones.clone()
    return mean.clone(), var.clone()
