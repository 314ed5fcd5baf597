"""What a guide made from a transfer is, and the layers that guides speak of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Literal

import torch

from metatl.fields import Checked
from metatl.net import Net
from metatl.order_of_use import blocks_in_order, place_of, weights_in_order
from metatl.types import Guide, MetatlError, Params, Transfer, check_rates

Depth = Literal["layer", "block"]
"""In what depth is counted: `layers`, or blocks as `order_of_use.blocks_in_order` finds them."""


class TransferGuide(Checked, ABC):
    """A guide made once from what is carried, before any task."""

    def __post_init__(self) -> None:
        """Raise MetatlError for a negative value: it would let weights climb."""
        check_rates(self, "value", "factor")

    @abstractmethod
    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One entry for every weight of the transfer."""


def layers(net: Net, params: Params) -> list[list[str]]:
    """The names of the weights by layer, input first, in the order in which a pass uses them.

    A layer begins at a weight with two axes or more, or at what such a weight is made of (weight norm);
    biases and the norm after it belong to it, and so does what a transform added there. Order of registration
    stands in only where neither an example nor the module's own groups tell (see `weights_in_order`).
    """
    added = {name for one in net.additions for name in one.names()}
    groups: list[list[str]] = []
    for name in weights_in_order(net, params):
        begins = params[name].dim() > 1 and name not in added
        if not groups or (begins and place_of(name) not in map(place_of, groups[-1])):
            groups.append([])
        groups[-1].append(name)
    return groups


def check_parts(of: object, parts: int | None) -> None:
    """Raise MetatlError for no parts."""
    if parts is not None and parts < 1:
        raise MetatlError(f"{type(of).__name__}: parts is {parts}; give 1 or more")


def by_depth(net: Net, params: Params, by: Depth = "layer", parts: int | None = None) -> list[list[str]]:
    """The names of the weights by layer or block, input first; the output layer, where there is one, last.

    parts: into how many groups of neighbours what lies below the output layer is joined, as equal in number
    as can be; raises MetatlError where the net has fewer.
    """
    groups = layers(net, params) if by == "layer" else blocks_in_order(net, params)
    if parts is None:
        return groups
    body = [group for group in groups if not any(map(net.is_head, group))]
    if len(body) < parts:
        raise MetatlError(
            f"the net has {len(body)} {by}s below its output layer, which make no {parts} parts"
        )
    ends = [round(i * len(body) / parts) for i in range(parts + 1)]
    joined = [[name for group in body[low:high] for name in group] for low, high in pairwise(ends)]
    return [*joined, *(group for group in groups if group not in body)]


def filled(params: Params, values: dict[str, float]) -> Guide:
    """A 0-d entry for every weight; raises MetatlError naming a weight without a value."""
    for name in params:
        if name not in values:
            raise MetatlError(f"the guide has no value for weight '{name}'; every weight must be covered")
    return {
        name: torch.tensor(values[name], dtype=leaf.dtype, device=leaf.device)
        for name, leaf in params.items()
    }
