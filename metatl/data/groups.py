"""Groups (people, hospitals, sensors) whose rows fall into two sides, so that support and query lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metatl.data.labelled import Array
from metatl.types import MetatlError


class GroupRows(NamedTuple):
    """x [n, ...], and of each row: class 0 .. , group, part (a recording, say); no part is on both sides."""

    x: Tensor
    label: Array
    group: Array
    part: Array


class GroupWords(NamedTuple):
    """What a group, several of them, a row and a part are called: person, subjects, window, recording."""

    one: str = "group"
    many: str = "groups"
    row: str = "row"
    part: str = "part"


@dataclass(frozen=True)
class Groups:
    """One split: rows sorted by (group, side, class), and each such cell's first row and length.

    offsets, counts: [groups, 2 sides, classes] int64; the sides of a group are disjoint sets of parts.
    """

    x: Tensor = field(repr=False)
    label: Tensor = field(repr=False)
    offsets: Tensor = field(repr=False)
    counts: Tensor = field(repr=False)
    ids: tuple[Any, ...]
    smallest: tuple[Any, int, int]
    """Group, class and number of rows of the smallest cell."""
    most: int

    @staticmethod
    def of(
        rows: GroupRows,
        groups: Sequence[Any],
        classes: int,
        device: torch.device,
        where: str,
        words: GroupWords,
    ) -> Groups:
        """The cells of these groups, but for those that lack a class on a side; MetatlError if all do."""
        places: list[Array] = []
        counts: list[list[list[int]]] = []
        ids: list[Any] = []
        for group in groups:
            cells = [
                [np.flatnonzero(side & (rows.label == label)) for label in range(classes)]
                for side in _sides(rows, group)
            ]
            if all(len(cell) for side in cells for cell in side):
                ids.append(group)
                places += [cell for side in cells for cell in side]
                counts.append([[len(cell) for cell in side] for side in cells])
        if not ids:
            raise MetatlError(
                f"{where}: no {words.one} of a split has every class in two disjoint sets of {words.part}s"
            )
        table, taken = torch.tensor(counts), np.concatenate(places)
        group, side, label = np.unravel_index(int(table.numpy().argmin()), table.shape)
        ends = table.flatten().cumsum(0).view(table.shape)
        return Groups(
            rows.x[torch.from_numpy(taken)].to(device),
            torch.from_numpy(rows.label[taken]).to(device),
            (ends - table).to(device),
            table.to(device),
            tuple(ids),
            (ids[int(group)], int(label), int(table[group, side, label])),
            int(table.max()),
        )


def _sides(rows: GroupRows, group: Any) -> tuple[Array, Array]:
    """Masks of a group's two sides: parts, longest first, each go to the side with fewer rows.

    So two recordings make one side each, and one that was made in two halves (person 10 of HAPT) makes one
    side.
    """
    own = rows.group == group
    ids, lengths = np.unique(rows.part[own], return_counts=True)
    sides: tuple[list[Any], list[Any]] = ([], [])
    totals = [0, 0]
    for place in np.argsort(-lengths, kind="stable").tolist():
        lighter = totals.index(min(totals))
        sides[lighter].append(ids[place])
        totals[lighter] += int(lengths[place])
    masks = [own & np.isin(rows.part, side) for side in sides]
    return masks[0], masks[1]
