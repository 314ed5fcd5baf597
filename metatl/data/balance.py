"""Balanced draws: as many rows of a rare class as of a frequent one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from metatl.data.counter import first_of_shuffle, number

Balance = Literal["over", "under"]
"""An epoch has as many rows of every class as the largest one (rows of others again and again), or as the
smallest one (other rows of the larger ones in every epoch)."""
_WITHIN, _ALL = range(2)


def balanced_epoch(labels: Tensor, balance: Balance, key: int) -> Tensor:
    """Rows of one epoch in random order: labels [n] -> [classes * size], `size` rows of every class.

    Over: size is that of the largest class, and a class of c rows has each of them floor(size / c) times or
    once more. Under: size is that of the smallest class, and no row comes twice. Empty classes are none.
    """
    counts = labels.bincount()
    classes = counts.nonzero()[:, 0]
    held, starts = counts[classes], (counts.cumsum(0) - counts)[classes]
    size = int(held.max() if balance == "over" else held.min())
    order = _order(key, _WITHIN, len(labels), labels.device)
    by_class = order[labels[order].argsort(stable=True)]
    rounds = torch.arange(size, device=labels.device)[:, None]
    rows = by_class[starts + rounds % held].flatten()
    return rows[_order(key, _ALL, len(rows), labels.device)]


def part_of(epoch: Callable[[int], Tensor], length: int, start: int, stop: int) -> Tensor:
    """Places start .. stop - 1 of the endless stream of epochs 0, 1, ..., each [length]."""
    first = start // length
    stream = torch.cat([epoch(i) for i in range(first, (stop - 1) // length + 1)])
    return stream[start - first * length :][: stop - start]


def _order(key: int, purpose: int, n: int, device: torch.device) -> Tensor:
    own = torch.full((), number(key, purpose), dtype=torch.int64, device=device)
    return first_of_shuffle(own, n, n, n)
