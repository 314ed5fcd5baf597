"""Gradual unfreezing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl.guides.guide import Depth, TransferGuide, by_depth, check_parts
from metatl.net import Net
from metatl.types import Guide, Transfer


@dataclass(frozen=True)
class Unfreeze(TransferGuide):
    """Layers start to move one after another, the output layer first: a guide with a leading step axis.

    The layer with k layers above it has guide 0 before inner step k * every and 1 from then on. Source:
    Howard & Ruder 2018, arXiv 1801.06146.

    Args:
        every: inner steps between two layers.
        by: what opens, a layer or a block.
        parts: groups of neighbours that the body's layers or blocks are joined to; each alone for None.
    """

    every: int = 1
    by: Depth = "layer"
    parts: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        check_parts(self, self.parts)

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """Entries [steps, 1, ...]; the last row serves all later steps."""
        groups = by_depth(net, transfer.params, self.by, self.parts)
        steps = torch.arange((len(groups) - 1) * self.every + 1)
        guide: Guide = {}
        for depth, group in enumerate(reversed(groups)):
            on = (steps >= depth * self.every).float()
            for name in group:
                leaf = transfer.params[name]
                guide[name] = on.to(leaf).view(-1, *([1] * leaf.dim()))
        return {name: guide[name] for name in transfer.params}
