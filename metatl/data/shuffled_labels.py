"""Tasks that teach nothing: their support rows' labels in random order."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from metatl import tree
from metatl.types import Episode, Ragged


def shuffled_labels(drawn: Episode | Ragged, seed: int) -> Episode | Ragged:
    """The meta-batch with the targets of every task's support rows among each other, by `seed`."""
    if isinstance(drawn, Ragged):
        parts = [shuffled_labels(part, seed + place) for place, part in enumerate(drawn.parts)]
        return replace(drawn, parts=tuple(parts))
    generator = torch.Generator().manual_seed(seed % 2**63)
    rows = tree.first(drawn.support.y).shape[:2]
    order = torch.rand(rows, generator=generator).argsort(1)

    def mixed(y: Tensor) -> Tensor:
        return y[torch.arange(len(y), device=y.device)[:, None], order.to(y.device)]

    return drawn._replace(support=drawn.support._replace(y=tree.apply(mixed, drawn.support.y)))
