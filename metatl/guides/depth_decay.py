"""Discriminative learning rates."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.guides.guide import TransferGuide, filled, layers
from metatl.net import Net
from metatl.types import Guide, Transfer


@dataclass(frozen=True)
class DepthDecay(TransferGuide):
    """Every layer moves `factor` times less than the next one used: guide = factor^-(layers above).

    Source: Howard & Ruder 2018, arXiv 1801.06146, with factor 2.6.

    Args:
        factor: ratio of the rates of neighbouring layers.
    """

    factor: float = 2.6

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One 0-d entry a weight; the output layer's is 1."""
        groups = layers(net, transfer.params)
        top = len(groups) - 1
        values = {name: self.factor ** -(top - i) for i, group in enumerate(groups) for name in group}
        return filled(transfer.params, values)
