"""Surgical fine-tuning: one part of the net alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metatl.guides.guide import TransferGuide, by_depth, filled
from metatl.net import Net
from metatl.types import Guide, MetatlError, Transfer

Place = Literal["first", "middle", "last"]


@dataclass(frozen=True)
class Surgical(TransferGuide):
    """Guide 1 for the first, middle or last part of the body, 0 for all else.

    The body's blocks (`order_of_use.blocks_in_order`) are joined to `parts` groups of neighbours: three, as
    the wide residual nets of the publication have stages. A carried output layer stays, as published; one
    that is new to a task moves whatever its guide. The first part suits inputs that look different, the
    middle one other features, the last one other labels. Source: Lee et al. 2023, arXiv 2210.11466. Of a net
    with fewer blocks than parts the first and the last part are a block each; raises MetatlError for the
    middle of it, and for a net of one block.

    Args:
        place: which part moves.
        parts: how many there are.
    """

    place: Place = "first"
    parts: int = 3

    def __post_init__(self) -> None:
        """Refuse parts that have no middle."""
        if self.parts < 2:
            raise MetatlError(f"Surgical: parts is {self.parts}; give 2 or more")

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One 0-d entry a weight."""
        groups = by_depth(net, transfer.params, "block")
        body = sum(not any(map(net.is_head, group)) for group in groups)
        parts = self.parts if self.place == "middle" else min(self.parts, max(body, 2))
        at = {"first": 0, "middle": parts // 2, "last": parts - 1}[self.place]
        moved = set(by_depth(net, transfer.params, "block", parts)[at])
        return filled(transfer.params, {name: float(name in moved) for name in transfer.params})
