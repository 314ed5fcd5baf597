"""Signal-to-noise ratios of layers' gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.adapt import Outputs, SupportGuide
from metatl.guides.ranked import Ranked, statistics, uncompared
from metatl.heads import Head, Ridge
from metatl.net import Net
from metatl.types import Batch, Guide, Params


@dataclass(frozen=True)
class SignalToNoise(SupportGuide):
    """Auto-SNR: 1 for tensors whose gradient has mean(g^2 / (var g + 1e-8)) >= cut, 0 for the others.

    var is the unbiased variance along a tensor's first axis, as in the published code, the mean over entries
    and over the first batches; a tensor with one entry along that axis has no variance and moves, as there.
    Tensors with one axis (norms, biases) stay, the output layer moves. Source: Lee et al. 2023, arXiv
    2210.11466, after Mahsereci et al. 2017, arXiv 1703.09580.

    Args:
        head: output layer that gradients are taken with where the adaptation's own starts at zero.
        batch_size: rows of a batch; all of the support set at once for None.
        batches: the first ones, over which ratios are averaged.
        cut: the least ratio that moves.
        ranked: the body alone, or the output layer too, weight and bias, as for a carried one.
    """

    head: Head = Ridge()
    batch_size: int | None = None
    batches: int = 5
    cut: float = 0.95
    ranked: Ranked = "body"

    def __call__(self, net: Net, params: Params, output: Outputs, support: Batch) -> Guide:
        """One 0-d entry a tensor."""
        size, count = self.batch_size, self.batches
        ratio = statistics(net, params, output, support, size, count, self.ranked, _ratio)
        one = next(iter(params.values())).new_ones(())
        return {
            name: torch.where(ratio[name] < self.cut, 0.0, one)
            if name in ratio
            else uncompared(net, name, one)
            for name in params
        }


def _ratio(name: str, g: Tensor) -> Tensor:
    """Mean of g^2 / (var g + 1e-8); infinite where there is no variance to take."""
    if g.shape[0] < 2:
        return g.new_full((), torch.inf)
    return (g.square() / (g.var(0, keepdim=True) + 1e-8)).mean()
