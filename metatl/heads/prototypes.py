"""The prototype output layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.heads.head import Head, class_means
from metatl.net import Net
from metatl.types import Batch, Transfer


@dataclass(frozen=True)
class Prototypes(Head):
    """A linear layer with W = 2 c / T, b = -|c|^2 / T, c the class means of the support features.

    Its softmax is that of the negative squared distances to the means over T, so zero steps from it are
    ProtoNet (Snell, Swersky & Zemel 2017, arXiv 1703.05175) and some steps Proto-MAML (Triantafillou et al.
    2020, arXiv 1903.03096). The means are differentiable in the weights.

    Args:
        temperature: T; large values soften the predictions and shrink the head's scale for the steps that
            follow.
    """

    temperature: float = 1.0

    needs_bias = True

    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """W [outputs, d] and b [outputs]."""
        features = net.features(transfer.params, transfer.buffers, support.x)
        centre = class_means(features, support.y, net.outputs, support.weight)
        return 2.0 * centre / self.temperature, -centre.square().sum(-1) / self.temperature
