"""Masks that need no data: controls of the same size for FISH."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl import tree
from metatl.guides.guide import TransferGuide
from metatl.guides.shape import TopK
from metatl.net import Net
from metatl.types import Guide, Params, Transfer


def _masked(net: Net, raw: Params, density: float, way: int) -> Guide:
    head, body = tree.split(raw, net.is_head)
    mask = {**TopK(density)(body, net.head_size(raw, way)), **tree.ones(head)}
    return {name: mask[name] for name in raw}


@dataclass(frozen=True)
class RandomMask(TransferGuide):
    """1 for a random share of the weights, and for the output layer.

    Args:
        density: share of all weights that may move.
        seed: of the draw.
        way: rows of the output layer that the tasks will have; it counts in the budget.
    """

    density: float = 0.005
    seed: int = 0
    way: int = 5

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """The mask."""
        generator = torch.Generator().manual_seed(self.seed)
        raw = {n: torch.rand(p.shape, generator=generator).to(p.device) for n, p in transfer.params.items()}
        mask = _masked(net, raw, self.density, self.way)
        return {name: mask[name].to(leaf.dtype) for name, leaf in transfer.params.items()}


@dataclass(frozen=True)
class MagnitudeMask(TransferGuide):
    """1 for the largest weights, and for the output layer.

    Args:
        density: share of all weights that may move.
        way: rows of the output layer that the tasks will have; it counts in the budget.
    """

    density: float = 0.005
    way: int = 5

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """The mask."""
        return _masked(net, tree.map(torch.abs, transfer.params), self.density, self.way)
