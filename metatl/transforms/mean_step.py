"""A step along the mean displacement."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metatl import tree
from metatl.net import Net
from metatl.transforms.scouted import Scouted
from metatl.types import Transfer, check_rates


@dataclass(frozen=True)
class MeanStep(Scouted):
    """theta = theta_0 + size * E[d]: where scouts went on the whole, Reptile's step.

    E[d] is what `Scout(directions=...)` carries. All weights move on from there as before. Source: Nichol,
    Achiam & Schulman 2018, arXiv 1803.02999.

    Args:
        size: share of the mean that is gone.

    Calling it raises MetatlError where the start carries no mean.
    """

    size: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a step back."""
        check_rates(self, "size")

    def outline(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The pair as it is, before scouts have learned a mean."""
        return net, transfer

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The pair with moved weights."""
        step = tree.scale(self.mean_of(transfer), self.size)
        return net, replace(transfer, params=tree.add(transfer.params, step))
