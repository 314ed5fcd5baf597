"""What a guide made from a transfer is, and the layers that guides speak of."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from metatl.net import Net
from metatl.order_of_use import weights_in_order
from metatl.types import Guide, MetatlError, Params, Transfer, check_rates


class TransferGuide(ABC):
    """A guide made once from what is carried, before any task."""

    def __post_init__(self) -> None:
        """Raise MetatlError for a negative value: it would let weights climb."""
        check_rates(self, "value", "factor")

    @abstractmethod
    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One entry for every weight of the transfer."""


def layers(net: Net, params: Params) -> list[list[str]]:
    """The names of the weights by layer, input first, in the order in which a pass uses them.

    A layer begins at a weight with two axes or more; biases and the norm after it belong to it, and so does
    what a transform added there. Order of registration stands in only where neither an example nor the
    module's own groups tell (see `weights_in_order`).
    """
    added = {name for one in net.additions for name in one.names()}
    groups: list[list[str]] = []
    for name in weights_in_order(net, params):
        if (params[name].dim() > 1 and name not in added) or not groups:
            groups.append([])
        groups[-1].append(name)
    return groups


def filled(params: Params, values: dict[str, float]) -> Guide:
    """A 0-d entry for every weight; raises MetatlError naming a weight without a value."""
    for name in params:
        if name not in values:
            raise MetatlError(f"the guide has no value for weight '{name}'; every weight must be covered")
    return {
        name: torch.tensor(values[name], dtype=leaf.dtype, device=leaf.device)
        for name, leaf in params.items()
    }
