"""Relative gradient norms of layers."""

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
class RelativeGradNorm(SupportGuide):
    """Auto-RGN: every tensor's |gradient| / |weights| on the support set, over the largest.

    The output layer keeps guide 1; tensors with one axis (norms, biases) keep 0: they start at 0 and would
    outrank everything, and the published rule leaves norms out too. As published it is a mean over the first
    five batches, and taken anew before every epoch (`batch_size` here, `anew` of `Descent`). Source: Lee et
    al. 2023, arXiv 2210.11466.

    Args:
        head: output layer that gradients are taken with where the adaptation's own starts at zero, behind
            which every gradient of the body is 0.
        batch_size: rows of a batch; all of the support set at once for None.
        batches: the first ones, over which ratios are averaged.
        ranked: the body alone, or the output layer too, weight and bias, as for a carried one.
    """

    head: Head = Ridge()
    batch_size: int | None = None
    batches: int = 5
    ranked: Ranked = "body"

    def __call__(self, net: Net, params: Params, output: Outputs, support: Batch) -> Guide:
        """One 0-d entry a tensor."""

        def ratio_of(name: str, g: Tensor) -> Tensor:
            return g.norm() / params[name].norm().clamp_min(1e-12)

        size, count = self.batch_size, self.batches
        ratio = statistics(net, params, output, support, size, count, self.ranked, ratio_of)
        one = next(iter(params.values())).new_ones(())
        largest = torch.stack([one * 1e-12, *ratio.values()]).max()
        return {
            name: ratio[name] / largest if name in ratio else uncompared(net, name, one) for name in params
        }
