"""The zero output layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.heads.head import Head
from metatl.net import Net
from metatl.types import Batch, Transfer


@dataclass(frozen=True)
class Zeros(Head):
    """A fresh output layer of zeros: uniform predictions, no random draw; the first step moves it alone."""

    blind = True

    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """Zeros [outputs, d] and [outputs]."""
        carried = transfer.params[net.head_weight]
        return carried.new_zeros(net.outputs, carried.shape[-1]), carried.new_zeros(net.outputs)
