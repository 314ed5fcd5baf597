"""Masks that need no data: controls of the same size for FISH."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl import tree
from metatl.guides.guide import TransferGuide
from metatl.guides.shape import TopK
from metatl.net import Net
from metatl.types import Guide, Params, Transfer


def _masked(net: Net, transfer: Transfer, raw: Params, density: float) -> Guide:
    head, body = tree.split(raw, net.is_head)
    return {**TopK(density)(body, tree.count(head)), **tree.ones(head)}


@dataclass(frozen=True)
class RandomMask(TransferGuide):
    """1 for a random share of the weights, and for the output layer.

    Args:
        density: share of all weights that may move.
        seed: of the draw.
    """

    density: float = 0.005
    seed: int = 0

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """The mask."""
        generator = torch.Generator().manual_seed(self.seed)
        raw = {n: torch.rand(p.shape, generator=generator).to(p.device) for n, p in transfer.params.items()}
        return _masked(net, transfer, raw, self.density)


@dataclass(frozen=True)
class MagnitudeMask(TransferGuide):
    """1 for the largest weights, and for the output layer.

    Args:
        density: share of all weights that may move.
    """

    density: float = 0.005

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """The mask."""
        return _masked(net, transfer, tree.map(torch.abs, transfer.params), self.density)
