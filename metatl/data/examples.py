"""Rows as people have them: inputs that are read when they are asked for, targets, and which rows judge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metatl.data.targets import Targets

Index = NDArray[np.int64]
TestPart = Literal["test", "val", "folds"]
Shown = Image.Image | str | NDArray[np.float64] | Sequence[tuple[str, str]]
"""What a report shows of a row: a picture, a text, a signal [channels, time], or names with their values."""


class Inputs(ABC):
    """What lies before the targets: a row each, in an order of their own."""

    unit: ClassVar[str] = "row"
    """What one is called: photo, sentence, row, window."""
    copied: ClassVar[bool] = False
    """Whether rows of one content are copies of one thing, and not two that happen to agree."""

    @property
    def columns(self) -> Any:
        """The rows as named columns, where they are those of a table (`data.tables.Columns`)."""
        return None

    @property
    def held(self) -> Any:
        """All rows at once as a net's preparation takes them, where they are in memory; else None."""
        return None

    @property
    @abstractmethod
    def ids(self) -> Sequence[str]:
        """How a report names every row: its file, its line."""

    @abstractmethod
    def digest(self, place: int) -> str:
        """SHA-256 of a row's content; raises MetatlError where it cannot be read."""

    @abstractmethod
    def raw(self, place: int) -> Any:
        """A row as a net's preparation takes it; raises MetatlError where it cannot be read."""

    @abstractmethod
    def shown(self, place: int) -> Shown:
        """A row as a report shows it."""

    @property
    def lost(self) -> Mapping[int, str]:
        """Rows of a table that have no values of their own (a recording that cannot be read), and why."""
        return {}

    @abstractmethod
    def take(self, places: Index) -> Inputs:
        """These rows, in this order."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)


class Reader(ABC):
    """How rows without targets are read from the files that a prediction is asked for."""

    unit: ClassVar[str] = "row"
    id_name: ClassVar[str] = "row"
    """Of the column that names every row of a prediction."""
    place: ClassVar[str] = "TABLE"
    """What a command is given for them."""

    @abstractmethod
    def read(self, places: Sequence[Path]) -> Inputs:
        """The rows of files and folders, in order; raises MetatlError for a place that is not there."""


@dataclass(frozen=True)
class Examples:
    """A user's own problem.

    name: of the data; reader: of further rows like these; inputs, targets: of n rows; pool: rows that may be
    labelled; test: rows that judge, None for folds of the pool; part: where the latter come from; left_out:
    what could not be used, a line each; notes: what was decided on the way; group [n]: whom each row
    comes from; part_of [n]: the recording, session or day of each, where that is known; pair [n]: which thing
    each row is of, where rows of other data are of the same things; "" for one that is in no pair.
    """

    name: str
    reader: Reader
    inputs: Inputs
    targets: Targets
    pool: Index
    test: Index | None
    part: TestPart
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    group: NDArray[Any] | None = None
    part_of: NDArray[Any] | None = None
    pair: NDArray[Any] | None = None

    def take(self, places: Index) -> Examples:
        """These rows alone, in this order."""
        now = np.full(len(self.inputs), -1, np.int64)
        now[places] = np.arange(len(places))

        def some(of: Index) -> Index:
            found = now[of]
            return found[found >= 0]

        values = self.targets.values[places]
        return Examples(
            self.name,
            self.reader,
            self.inputs.take(places),
            replace(self.targets, values=values),
            some(self.pool),
            None if self.test is None else some(self.test),
            self.part,
            self.left_out,
            self.notes,
            *(None if one is None else one[places] for one in (self.group, self.part_of, self.pair)),
        )
