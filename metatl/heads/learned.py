"""The carried output layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.heads.head import Head
from metatl.net import Net
from metatl.types import Batch, Transfer


@dataclass(frozen=True)
class Learned(Head):
    """The output layer that the transfer carries, as it is: MAML, and tasks that share their classes."""

    fresh = False

    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """The carried weight [outputs, d] and bias [outputs]."""
        return transfer.params[net.head_weight], transfer.params[net.head_bias]
