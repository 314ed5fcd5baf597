"""Episodes of classes from a bank, each of a shape of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.counter import bits
from metatl.data.episodes import class_rows, draw_classes
from metatl.data.shapes import Tasks, ragged, rows_key
from metatl.data.shots import Shots, query_of
from metatl.types import Batch, Episode, Ragged


class Composition(NamedTuple):
    """Of an episode: support rows of each class, query rows of all."""

    shots: tuple[int, ...]
    query: int

    @property
    def support(self) -> list[tuple[int, int]]:
        """(class, which of its rows), round by round, of the classes that still have some."""
        rounds = range(max(self.shots))
        return [(c, turn) for turn in rounds for c, shot in enumerate(self.shots) if turn < shot]

    @property
    def queries(self) -> list[tuple[int, int]]:
        """(class, which of its rows), round by round: those after the support rows."""
        return [(c, shot + turn) for turn in range(self.query) for c, shot in enumerate(self.shots)]


class Picked(NamedTuple):
    """Rows of the bank for episodes of one composition: support [b, m], query [b, n], classes [b, way]."""

    of: Composition
    support: Tensor
    query: Tensor
    classes: Tensor


def composition(bank: Bank, tasks: Tasks, key: int, index: int) -> Composition:
    """Of episode `index`. Sizes are looked up on the host, where classes are drawn as on the device."""
    drawn = tasks.drawn(key, index, bank.classes)
    if not isinstance(drawn.shot, Shots):
        way, shot, query = drawn.one
        return Composition((shot,) * way, query)
    places = torch.tensor([index])
    sizes = [bank.sizes[c] for c in draw_classes(bank.classes, drawn, bits(key, places), places)[0]]
    query = query_of(sizes, drawn.query)
    return Composition(drawn.shot.support(sizes, query, rows_key(key, index)), query)


def picked(bank: Bank, tasks: Tasks, key: int, of: Composition, indices: Sequence[int]) -> Picked:
    """The rows of episodes with these indices, all of one composition.

    A class gives the rows that it gives to the same episode of tasks of one shape, its own shot and query.
    """
    episodes = torch.tensor(indices, device=bank.x.device)
    own, way = bits(key, episodes), len(of.shots)
    classes = draw_classes(bank.classes, Tasks(way, 1, 0, tasks.subsets), own, episodes)
    rows: dict[tuple[int, int], Tensor] = {}
    for shot in set(of.shots):
        some = [c for c, its in enumerate(of.shots) if its == shot]
        taken, _ = class_rows(bank, own, classes[:, some], shot + of.query)
        rows |= {(c, k): taken[:, place, k] for place, c in enumerate(some) for k in range(shot + of.query)}

    def column(wanted: Iterable[tuple[int, int]]) -> Tensor:
        found = [rows[one] for one in wanted]
        return torch.stack(found, 1) if found else classes.new_zeros(len(indices), 0)

    return Picked(of, column(of.support), column(of.queries), classes)


def unequal(bank: Bank, tasks: Tasks, key: int, indices: Sequence[int]) -> Ragged:
    """The episodes with these indices, stacked where they are alike."""

    def draw(of: Composition, places: tuple[int, ...]) -> Episode:
        found = picked(bank, tasks, key, of, [indices[place] for place in places])

        def part(rows: Tensor, wanted: list[tuple[int, int]]) -> Batch:
            labels = torch.tensor([c for c, _ in wanted], dtype=torch.int64, device=rows.device)
            return Batch(bank.gather(rows), labels.repeat(len(rows), 1))

        return Episode(part(found.support, of.support), part(found.query, of.queries), found.classes)

    return ragged([composition(bank, tasks, key, index) for index in indices], draw)
