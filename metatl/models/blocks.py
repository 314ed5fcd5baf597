"""Layers in blocks, between which nets of several tasks part or meet."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import nn

from metatl.types import MetatlError


def blocks(shape: tuple[int, ...], filters: tuple[int, ...], hidden: tuple[int, ...]) -> list[nn.Module]:
    """3x3 convolutions of stride 2 with ReLU over pictures [channels, h, w], then linear layers with ReLU."""
    found: list[nn.Module] = []
    if filters:
        if len(shape) != 3:
            raise MetatlError(f"filters are of pictures [channels, h, w], and rows are {list(shape)}")
        before, height, width = shape
        for after in filters:
            found.append(nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()))
            before, height, width = after, math.ceil(height / 2), math.ceil(width / 2)
        shape = (before, height, width)
    size = math.prod(shape)
    for after in hidden:
        found.append(nn.Sequential(nn.Flatten(), nn.Linear(size, after), nn.ReLU()))
        size = after
    if not found:
        raise MetatlError("a net of several tasks needs a block: give filters or hidden")
    return found


def widths(filters: tuple[int, ...], hidden: tuple[int, ...]) -> list[int]:
    """Channels or units after every block."""
    return [*filters, *hidden]


def heads(
    shape: tuple[int, ...], targets: Mapping[str, int], filters: tuple[int, ...], hidden: tuple[int, ...]
) -> nn.ModuleDict:
    """A linear layer for each target, by its place; raises MetatlError for names that are none."""
    if not targets or any(count < 1 for count in targets.values()):
        raise MetatlError(f"targets is {dict(targets)}; give each a name and 1 output or more")
    size = hidden[-1] if hidden else _flat(shape, filters)
    return nn.ModuleDict({str(i): nn.Linear(size, count) for i, count in enumerate(targets.values())})


def _flat(shape: tuple[int, ...], filters: tuple[int, ...]) -> int:
    height, width = shape[-2:]
    for _ in filters:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return filters[-1] * height * width
