"""A random mask for every task: the control of FISH's masks from support sets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Outputs, SupportGuide
from metatl.data.counter import bits, uniform
from metatl.guides.shape import TopK
from metatl.net import Net
from metatl.types import Batch, Guide, Params


@dataclass(frozen=True)
class SupportRandom(SupportGuide):
    """1 for a random share of the weights, drawn anew for every support set, and for the output layer.

    A mask drawn once (`RandomMask`) is one sample of all random masks; here the spread between masks is in
    the spread between tasks, so an interval over tasks covers both. The draw is a hash of the support rows
    and the seed: the same task has the same mask, in any order and on any engine.

    Args:
        density: share of all weights that may move; the output layer counts in it, as in `TopK`.
        seed: of the draw.
    """

    density: float = 0.005
    seed: int = 0

    def __call__(self, net: Net, params: Params, output: Outputs, support: Batch) -> Guide:
        """The mask of one task."""
        head, body = tree.split(params, net.is_head)
        key = _key(support.x) + self.seed
        words = bits(key, torch.arange(tree.count(body), device=key.device))
        drawn = tree.unflat(uniform(words), body)
        mask = TopK(self.density)(drawn, tree.count(head))
        return {
            name: (mask[name] if name in mask else torch.ones_like(p)).to(p) for name, p in params.items()
        }


def _key(x: Tensor) -> Tensor:
    """0-d int64: a hash of the rows, to 2^-16 of their unit."""
    whole = (x.detach().reshape(-1).double() * 2.0**16).round().to(torch.int64)
    places = torch.arange(whole.numel(), device=x.device)
    return (whole * bits(0, places)).sum()
