"""Partial fine-tuning: the last blocks alone."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.guides.guide import TransferGuide, filled
from metatl.net import Net
from metatl.order_of_use import blocks_in_order
from metatl.types import Guide, MetatlError, Transfer


@dataclass(frozen=True)
class LastBlocks(TransferGuide):
    """Guide 1 for the output layer and the last blocks before it, 0 for all else.

    Depth is the order in which a pass uses the weights; a block is a group of timm's, or what shares a
    number in its name (`encoder.layer.11`), see `order_of_use.blocks_in_order`. In a descent with frozen
    moments the part that stays runs once a row. Source: Yosinski et al. 2014, arXiv 1411.1792.

    Args:
        blocks: how many move; 0 for the output layer alone.
    """

    blocks: int = 1

    def __post_init__(self) -> None:
        """Refuse a number below 0."""
        if self.blocks < 0:
            raise MetatlError(f"LastBlocks: blocks is {self.blocks}; give 0 or more")

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One 0-d entry a weight."""
        groups = blocks_in_order(net, transfer.params)
        moved = {name for group in groups[max(len(groups) - 1 - self.blocks, 0) :] for name in group}
        return filled(transfer.params, {name: float(name in moved) for name in transfer.params})
