"""A guide from a statistic that was kept raw, and guides made one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metatl import tree
from metatl.guides.guide import TransferGuide
from metatl.guides.shape import MinMax, Shape
from metatl.net import Net
from metatl.types import Guide, MetatlError, Transfer


@dataclass(frozen=True)
class Shaped(TransferGuide):
    """shape(the guide that comes), taken as a raw statistic: scouts run once and are shaped in many ways.

    The scouts then have `MinMax(focus: raw)`. The output layer, a task's own, gets 1.

    Args:
        shape: from the statistic to the guide.
        way: rows of the output layer that the tasks will have; it counts in the budget of a density.
    """

    shape: Shape = MinMax()
    way: int = 5

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """The shaped guide."""
        head, body = tree.split(transfer.guide, net.is_head)
        guide = {**self.shape(body, net.head_size(transfer.params, self.way)), **tree.ones(head)}
        return {name: guide[name] for name in transfer.guide}


@dataclass(frozen=True)
class InTurn(TransferGuide):
    """Guides that each take the one before as the transfer's guide: first permuted, then shaped, say.

    Args:
        guides: in the order in which they act.
    """

    guides: tuple[TransferGuide, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty list."""
        if not self.guides:
            raise MetatlError("InTurn: guides is empty; name at least one")

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """The last one's guide."""
        for make in self.guides:
            transfer = replace(transfer, guide=make(net, transfer))
        return transfer.guide
