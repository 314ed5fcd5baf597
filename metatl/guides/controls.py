"""Controls: guides that keep part of what another guide knows and destroy the rest.

A guide also shrinks the average step. Beside every guided result stand these, each with its own tuned rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import tree
from metatl.guides.guide import TransferGuide
from metatl.net import Net
from metatl.types import Guide, Params, Transfer


def _body(net: Net, transfer: Transfer) -> tuple[Params, Params]:
    full = {name: entry.expand_as(transfer.params[name]) for name, entry in transfer.guide.items()}
    return tree.split(full, lambda name: not net.is_head(name))


@dataclass(frozen=True)
class Permuted(TransferGuide):
    """The same histogram in every tensor, its placement destroyed; the output layer's guide stays.

    Args:
        seed: of the permutation.
    """

    seed: int = 0

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """Every tensor's entries in random order."""
        generator = torch.Generator().manual_seed(self.seed)

        def shuffle(entry: Tensor) -> Tensor:
            order = torch.randperm(entry.numel(), generator=generator).to(entry.device)
            return entry.reshape(-1)[order].view(entry.shape)

        body, head = _body(net, transfer)
        return {**tree.map(shuffle, body), **head}


@dataclass(frozen=True)
class LayerMean(TransferGuide):
    """Every tensor's mean in all its entries: layers kept, weights not; the output layer's guide stays."""

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One value a tensor."""
        body, head = _body(net, transfer)
        return {**tree.map(lambda entry: entry.mean().expand_as(entry).clone(), body), **head}


@dataclass(frozen=True)
class Constant(TransferGuide):
    """The mean over all entries everywhere: only a smaller step; the output layer's guide stays.

    Args:
        value: used instead of the mean when given.
    """

    value: float | None = None

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One value for the whole body."""
        body, head = _body(net, transfer)
        mean = (
            tree.flat(body).mean() if self.value is None else next(iter(body.values())).new_tensor(self.value)
        )
        return {**tree.map(lambda entry: mean.expand_as(entry).clone(), body), **head}
