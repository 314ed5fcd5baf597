"""People whose recordings fall into two sides, so that support and query share no recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metatl.data.labelled import Array
from metatl.types import MetatlError


class Windows(NamedTuple):
    """x [n, channels, time] float32, and of each window: activity 0 .. , person, recording."""

    x: Tensor
    activity: Array
    person: Array
    recording: Array


@dataclass(frozen=True)
class People:
    """One split: windows sorted by (person, side, activity), and each such cell's first row and length.

    offsets, counts: [people, 2 sides, activities] int64; the sides of a person are disjoint sets of
    recordings.
    """

    x: Tensor = field(repr=False)
    activity: Tensor = field(repr=False)
    offsets: Tensor = field(repr=False)
    counts: Tensor = field(repr=False)
    ids: tuple[int, ...]
    smallest: tuple[int, int, int]
    """Person, activity and number of windows of the smallest cell."""
    most: int

    @staticmethod
    def of(windows: Windows, people: Sequence[int], activities: int, device: torch.device) -> People:
        """The cells of these people, but for those who lack an activity on a side; MetatlError if all do."""
        places: list[Array] = []
        counts: list[list[list[int]]] = []
        ids: list[int] = []
        for person in people:
            cells = [
                [np.flatnonzero(side & (windows.activity == activity)) for activity in range(activities)]
                for side in _sides(windows, person)
            ]
            if all(len(cell) for side in cells for cell in side):
                ids.append(person)
                places += [cell for side in cells for cell in side]
                counts.append([[len(cell) for cell in side] for side in cells])
        if not ids:
            raise MetatlError("hapt: nobody in a split has every activity in two disjoint sets of recordings")
        table, rows = torch.tensor(counts), np.concatenate(places)
        person, side, activity = np.unravel_index(int(table.numpy().argmin()), table.shape)
        ends = table.flatten().cumsum(0).view(table.shape)
        return People(
            windows.x[torch.from_numpy(rows)].to(device),
            torch.from_numpy(windows.activity[rows]).to(device),
            (ends - table).to(device),
            table.to(device),
            tuple(ids),
            (ids[int(person)], int(activity), int(table[person, side, activity])),
            int(table.max()),
        )


def _sides(windows: Windows, person: int) -> tuple[Array, Array]:
    """Masks of a person's two sides: recordings, longest first, each go to the side with fewer windows.

    So two recordings make one side each, and one that was made in two halves (person 10) makes one side.
    """
    own = windows.person == person
    ids, lengths = np.unique(windows.recording[own], return_counts=True)
    sides: tuple[list[int], list[int]] = ([], [])
    totals = [0, 0]
    for place in np.argsort(-lengths, kind="stable").tolist():
        lighter = totals.index(min(totals))
        sides[lighter].append(int(ids[place]))
        totals[lighter] += int(lengths[place])
    masks = [own & np.isin(windows.recording, side) for side in sides]
    return masks[0], masks[1]
