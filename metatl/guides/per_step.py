"""A rate for every layer and every inner step."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.guides.guide import TransferGuide
from metatl.net import Net
from metatl.types import Guide, Transfer


@dataclass(frozen=True)
class PerStep(TransferGuide):
    """One value per tensor and inner step, to be learned by the outer loop (LSLR of MAML++).

    Source: Antoniou, Edwards & Storkey 2019, arXiv 1810.09502.

    Args:
        steps: inner steps; the last value serves all later ones.
        value: where every entry starts.
    """

    steps: int = 5
    value: float = 1.0

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """Entries [steps, 1, ...]."""
        return {
            name: leaf.new_full((self.steps, *([1] * leaf.dim())), self.value)
            for name, leaf in transfer.params.items()
        }
