"""Pure samplers: which rows of a bank an episode uses, from (key, index) only, a whole meta-batch at once."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import NamedTuple

import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.counter import bits, first_of_shuffle, number
from metatl.data.source import SPLITS, Tasks
from metatl.types import Split

MOST = (1 << 63) - 1
_CLASSES, _EXAMPLES, _TURNS, _EPOCH, _BATCH_TURNS = range(5)


class Draw(NamedTuple):
    """A meta-batch: classes [b, way], rows of the bank [b, shot + query, way], turns [b, way]."""

    classes: Tensor
    rows: Tensor
    turns: Tensor


def key_of(seed: int, split: Split) -> int:
    """The key of one stream of episodes."""
    return number(seed, SPLITS.index(split))


def draw_rows(bank: Bank, tasks: Tasks, key: int, episodes: Tensor) -> Draw:
    """Rows for the episodes with these indices [b] int64, each a function of its own index and the key alone.

    Classes are drawn without replacement, then shot + query examples of each without replacement (so support
    and query share none), then a turn for each class where the bank has turned images.
    """
    own, shape = bits(key, episodes), tasks.one
    classes = draw_classes(bank.classes, tasks, own, episodes)
    rows, turns = class_rows(bank, own, classes, shape.shot + shape.query)
    return Draw(classes, rows.transpose(1, 2), turns)


def draw_classes(held: int, tasks: Tasks, own: Tensor, episodes: Tensor) -> Tensor:
    """Places of classes, out of `held`, of the episodes with these keys and indices [b]: [b, way]."""
    way, _ = tasks.ways
    if tasks.subsets == "enumerated":
        return combinations(held, way, episodes)
    return first_of_shuffle(own + _CLASSES, held, held, way)


def class_rows(bank: Bank, own: Tensor, classes: Tensor, take: int) -> tuple[Tensor, Tensor]:
    """Rows [b, k, take] of classes [b, k] of the episodes with these keys [b], and their turns [b, k]."""
    keys = bits(own[:, None] + _EXAMPLES, classes)
    taken = first_of_shuffle(keys, bank.counts[classes], max(bank.sizes), take)
    turns = torch.zeros_like(classes)
    if bank.turns > 1:
        turns = bits(own[:, None] + _TURNS, classes) >> 62 & 3
    block = bank.x.shape[0] // bank.turns
    return taken + (bank.offsets[classes] + turns * block).unsqueeze(-1), turns


def batch_rows(bank: Bank, order: Tensor, key: int, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [n] and class labels [n] of a mini-batch: examples `order`, turned at random if the bank turns.

    positions [n]: how many examples the stream has given before each of these; they choose the turns.
    """
    labels = torch.searchsorted(bank.offsets, order, right=True) - 1
    if bank.turns == 1:
        return order, labels
    turns = bits(number(key, _BATCH_TURNS), positions) >> 62 & 3
    return order + turns * (bank.x.shape[0] // bank.turns), labels


def epoch_order(bank: Bank, key: int, epoch: int) -> Tensor:
    """All rows of the bank [n] in the random order of this epoch."""
    n = bank.x.shape[0] // bank.turns
    own = torch.tensor(number(key, _EPOCH, epoch), device=bank.x.device)
    return first_of_shuffle(own, n, n, n)


def combinations(n: int, k: int, index: Tensor) -> Tensor:
    """The combinations of k out of 0 .. n - 1 with these lexicographic indices (modulo their number): [b, k].

    The mirrored index is a sum of C(m_i, k - i) with falling m_i, found greedily; the class is n - 1 - m_i.
    """
    total = comb(n, k)
    left = total - 1 - index % total
    picked: list[Tensor] = []
    for size in range(k, 0, -1):
        table = _combs(n, size, index.device)
        place = torch.searchsorted(table, left, right=True) - 1
        left = left - table[place]
        picked.append(n - 1 - place)
    return torch.stack(picked, -1)


@lru_cache(maxsize=256)
def _combs(n: int, k: int, device: torch.device) -> Tensor:
    """C(0, k) .. C(n - 1, k), those beyond int64 cut to its largest value (never reached by an index)."""
    return torch.tensor([min(comb(m, k), MOST) for m in range(n)], dtype=torch.int64, device=device)
