"""Relative gradient norms of layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad

from metatl.adapt import SupportGuide
from metatl.heads import Head, Ridge
from metatl.net import Net
from metatl.objectives.task_loss import nll
from metatl.types import Batch, Guide, Params


@dataclass(frozen=True)
class RelativeGradNorm(SupportGuide):
    """Auto-RGN: every tensor's |gradient| / |weights| on the support set, over the largest.

    The output layer keeps guide 1; tensors with one axis (norms, biases) keep 0: they start at 0 and would
    outrank everything, and the published rule leaves norms out too. Source: Lee et al. 2023, arXiv
    2210.11466.

    Args:
        head: output layer that gradients are taken with where the adaptation's own starts at zero, behind
            which every gradient of the body is 0.
    """

    head: Head = Ridge()

    def __call__(self, net: Net, params: Params, output: Callable[[Params], Tensor], support: Batch) -> Guide:
        """One 0-d entry a tensor."""
        grads = grad(lambda p: nll(output(p), support.y))(params)
        ratio = {
            name: g.norm() / params[name].norm().clamp_min(1e-12)
            for name, g in grads.items()
            if not net.is_head(name) and g.dim() > 1
        }
        largest = torch.stack(list(ratio.values())).max().clamp_min(1e-12)
        one = torch.ones_like(largest)
        return {
            name: ratio[name] / largest if name in ratio else (one if net.is_head(name) else one * 0.0)
            for name in params
        }
