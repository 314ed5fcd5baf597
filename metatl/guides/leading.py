"""How many of a subspace's directions a task may go along, chosen as rates are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl import tree
from metatl.adapt import Outputs, SupportGuide
from metatl.net import Net
from metatl.transforms.along_directions import Z
from metatl.types import Batch, Guide, MetatlError, Params


@dataclass(frozen=True)
class Leading(SupportGuide):
    """1 for the first k of the numbers z of a `Subspace`, 0 for the others, 1 for all other weights.

    The adapted weights are those of `Subspace(k=k)`: the other z stay 0. So k may be chosen on meta_val, from
    one subspace of the most that it may be: `select: {guide_from_support.k: [4, 16, 64]}`.

    Args:
        k: directions, the largest first.

    Calling it raises MetatlError for weights that move along no directions, or along fewer than k.
    """

    k: int = 16

    def __post_init__(self) -> None:
        """Refuse no direction."""
        super().__post_init__()
        if self.k < 1:
            raise MetatlError(f"Leading: k is {self.k}; give 1 or more")

    def __call__(self, net: Net, params: Params, output: Outputs, support: Batch) -> Guide:
        """The same guide for every task."""
        if Z not in params:
            raise MetatlError("Leading: the net moves along no directions; add the transform Subspace")
        have = len(params[Z])
        if have < self.k:
            raise MetatlError(f"Leading: k is {self.k}, and Subspace has {have} directions; raise its k")
        first = torch.arange(have, device=params[Z].device) < self.k
        return {**tree.ones(params), Z: first.to(params[Z])}
