"""The guide of full fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from metatl import tree
from metatl.guides.guide import TransferGuide
from metatl.net import Net
from metatl.types import Guide, Transfer


@dataclass(frozen=True)
class Ones(TransferGuide):
    """Every update as proposed."""

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """Ones in the shapes of the weights."""
        return tree.ones(transfer.params)
