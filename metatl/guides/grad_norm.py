"""Relative gradient norms of layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad

from metatl.adapt import SupportGuide
from metatl.net import Net
from metatl.objectives.task_loss import nll
from metatl.types import Batch, Guide, Params


@dataclass(frozen=True)
class RelativeGradNorm(SupportGuide):
    """Auto-RGN: every tensor's |gradient| / |weights| on the support set, over the largest of them.

    The output layer is fresh or shared and keeps guide 1. Source: Lee et al. 2023, arXiv 2210.11466.
    """

    def __call__(self, net: Net, params: Params, output: Callable[[Params], Tensor], support: Batch) -> Guide:
        """One 0-d entry a tensor."""
        grads = grad(lambda p: nll(output(p), support.y))(params)
        ratio = {
            name: g.norm() / params[name].norm().clamp_min(1e-12)
            for name, g in grads.items()
            # A norm's bias starts at 0 and would outrank everything; the published rule leaves norms out too.
            if not net.is_head(name) and g.dim() > 1
        }
        largest = torch.stack(list(ratio.values())).max().clamp_min(1e-12)
        one = torch.ones_like(largest)
        return {
            name: ratio[name] / largest if name in ratio else (one if net.is_head(name) else one * 0.0)
            for name in params
        }
