"""What a head is: how a task's output layer starts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from metatl.fields import Checked
from metatl.net import Net
from metatl.types import Batch, Guide, MetatlError, Params, Transfer


class Head(Checked, ABC):
    """A way to start a task's output layer."""

    fresh: bool = True
    """Whether the layer is new for every task; then its guide is 1, whatever the transfer's guide says."""

    blind: bool = False
    """Whether the layer passes no gradient to the weights below it when a task starts (zeros)."""
    needs_bias: bool = False
    """Whether the layer is what it says only with a bias."""

    @abstractmethod
    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """The layer's weight [outputs, d] and bias [outputs]."""

    def init(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Params, Guide]:
        """All weights with the task's output layer in place, and the guide that goes with them.

        Raises MetatlError for a layer without the bias that this head needs.
        """
        if not self.fresh:
            return dict(transfer.params), dict(transfer.guide)
        net.check_anew(transfer.params)
        if self.needs_bias and net.head_bias not in transfer.params:
            raise MetatlError(
                f"head {type(self).__name__} needs an output layer with a bias; build '{net.head}' with one"
            )
        weight, bias = self.weights(net, transfer, support)
        layer = {net.head_weight: weight}
        if net.head_bias in transfer.params:
            layer[net.head_bias] = bias
        ones = {name: torch.ones((), dtype=weight.dtype, device=weight.device) for name in layer}
        return {**transfer.params, **layer}, {**transfer.guide, **ones}


def class_means(features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Tensor:
    """Mean feature of every class: features [n, d], y [n] -> [outputs, d]; an absent class has mean 0.

    weight [n]: how often each row counts.

    Raises MetatlError for real targets.
    """
    if y.is_floating_point() or y.dim() != 1:
        raise MetatlError("head Prototypes needs class labels, one a row; choose Ridge or Learned for others")
    member = torch.nn.functional.one_hot(y, outputs).to(features.dtype)
    if weight is None:
        return member.T @ features / member.sum(0).clamp_min(1.0).unsqueeze(-1)
    member = member * weight.to(features.dtype).unsqueeze(-1)
    total = member.sum(0)
    return member.T @ features / torch.where(total > 0, total, torch.ones_like(total)).unsqueeze(-1)
