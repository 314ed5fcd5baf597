"""Directions over all weights together: how many explain a share, and controls of the same spectrum."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.types import Params

Along = Literal["scouts", "permuted", "random"]


def explained(found: Params, total: float, share: float) -> Tensor:
    """Whether the directions before each one explain less than this share of the total variance, [k]."""
    power = _rows(found).double().square().sum(1)
    before = (power.cumsum(0) - power) / max(total, 1e-30)
    return before < (share if share < 1 else 2.0)


def turned(found: Params, along: Along, seed: int) -> Tensor:
    """The directions, or their control, [k, numbers]."""
    rows = _rows(found)
    if along == "scouts":
        return rows
    generator = torch.Generator().manual_seed(seed)
    if along == "permuted":
        sizes, begin, places = [leaf[0].numel() for leaf in found.values()], 0, list[Tensor]()
        for size in sizes:
            places.append(begin + torch.randperm(size, generator=generator))
            begin += size
        return rows[:, torch.cat(places).to(rows.device)]
    drawn = torch.randn(rows.shape[::-1], generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(drawn)[0].T.to(rows)
    return basis * rows.norm(dim=1)[: len(basis), None]


def parts_of(rows: Tensor, like: Params) -> Params:
    """Rows [k, numbers] as those of each weight, [k, ...]."""
    parts = rows.split([leaf[0].numel() for leaf in like.values()], 1)
    return {
        name: part.reshape(len(rows), *leaf.shape[1:])
        for (name, leaf), part in zip(like.items(), parts, strict=True)
    }


def _rows(found: Params) -> Tensor:
    return torch.cat([tree.lines(leaf) for leaf in found.values()], 1)
