"""Controls: guides that keep part of what another guide knows and destroy the rest.

A guide also shrinks the average step. Beside every guided result stand these, each with its own tuned rate.
The output layer's guide stays, as a fresh layer's is 1 whatever its guide; `head` treats that of a carried
layer like every other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import tree
from metatl.guides.guide import TransferGuide
from metatl.net import Net
from metatl.types import Guide, Params, Transfer


def _body(net: Net, transfer: Transfer, head: bool) -> tuple[Params, Params]:
    full = {name: entry.expand_as(transfer.params[name]) for name, entry in transfer.guide.items()}
    return tree.split(full, lambda name: head or not net.is_head(name))


@dataclass(frozen=True)
class Permuted(TransferGuide):
    """The same histogram in every tensor, its placement destroyed.

    Args:
        seed: of the permutation.
        head: whether the output layer's guide is permuted too.
    """

    seed: int = 0
    head: bool = False

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """Every tensor's entries in random order."""
        generator = torch.Generator().manual_seed(self.seed)

        def shuffle(entry: Tensor) -> Tensor:
            order = torch.randperm(entry.numel(), generator=generator).to(entry.device)
            return entry.reshape(-1)[order].view(entry.shape)

        body, rest = _body(net, transfer, self.head)
        return {**tree.map(shuffle, body), **rest}


@dataclass(frozen=True)
class LayerMean(TransferGuide):
    """Every tensor's mean in all its entries: layers kept, weights not.

    Args:
        head: whether the output layer's guide is averaged too.
    """

    head: bool = False

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One value a tensor."""
        body, rest = _body(net, transfer, self.head)
        return {**tree.map(lambda entry: entry.mean().expand_as(entry).clone(), body), **rest}


@dataclass(frozen=True)
class Constant(TransferGuide):
    """The mean over all entries everywhere: only a smaller step.

    Args:
        value: used instead of the mean when given.
        head: whether the output layer's guide counts, and is replaced, too.
    """

    value: float | None = None
    head: bool = False

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One value for all of it."""
        body, rest = _body(net, transfer, self.head)
        mean = (
            tree.flat(body).mean() if self.value is None else next(iter(body.values())).new_tensor(self.value)
        )
        return {**tree.map(lambda entry: mean.expand_as(entry).clone(), body), **rest}
