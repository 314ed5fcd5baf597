"""Tuning of the norms alone."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.guides.guide import TransferGuide, filled
from metatl.net import Net
from metatl.norm import norm_weights
from metatl.types import Guide, MetatlError, Transfer


@dataclass(frozen=True)
class Norms(TransferGuide):
    """Guide 1 for scale and shift of every norm, and for the output layer if `head`; 0 for all else.

    A norm is a module whose class, or a class that it comes from, has Norm in its name: torch's, timm's, and
    what nets for texts bring along. Source: Frankle, Schwab & Morcos 2021, arXiv 2003.00152. Raises
    MetatlError for a net without a norm that has weights.

    Args:
        head: whether the output layer moves too; Tent leaves it (Wang et al. 2021, arXiv 2006.10726).
    """

    head: bool = True

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One 0-d entry a weight."""
        moved = norm_weights(net.module)
        if not moved & set(transfer.params):
            raise MetatlError("Norms: the net has no norm with weights; choose another guide")
        values = {name: float(name in moved or (self.head and net.is_head(name))) for name in transfer.params}
        return filled(transfer.params, values)
