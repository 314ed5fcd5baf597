"""Rows of a table as inputs, with the signals that they have beside their columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from metatl.data.examples import Index, Inputs
from metatl.data.tables import Columns
from metatl.data.tables.columns import Array, as_text
from metatl.data.waves import Signals


@dataclass(frozen=True)
class TableRows(Inputs):
    """The columns that are inputs; names [n]: of the rows; gone: see `Inputs.lost`."""

    table: Columns
    names: tuple[str, ...]
    gone: Mapping[int, str] = field(default_factory=dict[int, str])

    @property
    def lost(self) -> Mapping[int, str]:
        """Rows without values, and why."""
        return self.gone

    @property
    def columns(self) -> Columns:
        """The table itself."""
        return self.table

    @property
    def held(self) -> Any:
        """The table itself."""
        return self.table

    @property
    def ids(self) -> Sequence[str]:
        """Of every row: what its id column says, else its line."""
        return self.names

    @cached_property
    def _digests(self) -> list[str]:
        return self.table.digests()

    def digest(self, place: int) -> str:
        """Of a row's values."""
        return self._digests[place]

    def raw(self, place: int) -> dict[str, Any]:
        """A row's values by name."""
        return {name: array[place] for name, array in self.table.items()}

    def shown(self, place: int) -> list[tuple[str, str]]:
        """A row's values as text, fractions with six digits, dates without a midnight."""
        return [(name, _short(array[place : place + 1])) for name, array in self.table.items()]

    def take(self, places: Index) -> TableRows:
        """These rows."""
        return type(self)(self.table.take(places), tuple(self.names[int(place)] for place in places))


class SignalRows(TableRows):
    """Rows with a signal each: a net reads the signals, and everything else the table's columns."""

    @property
    def signals(self) -> Signals:
        """The signals."""
        assert self.table.signals is not None
        return self.table.signals

    @property
    def held(self) -> Any:
        """All signals, where they are in memory."""
        return self.signals.held

    def digest(self, place: int) -> str:
        """Of a row's signal and its columns."""
        return hashlib.sha256((self.signals.digest(place) + super().digest(place)).encode()).hexdigest()

    def raw(self, place: int) -> Any:
        """A row's signal."""
        return self.signals.raw(place)

    def shown(self, place: int) -> list[tuple[str, str]]:
        """What the signal has to show, then the other values."""
        return [*self.signals.shown(place), *super().shown(place)]


class WindowRows(SignalRows):
    """Rows with a window of sensors each."""

    unit: ClassVar[str] = "window"


class RecordingRows(SignalRows):
    """Rows with a recording each."""

    unit: ClassVar[str] = "recording"


def _short(row: Array) -> str:
    """A value [1] as people read it."""
    text = as_text(row)[0] or ""
    if row.dtype.kind == "f" and not float(row[0]).is_integer() and text:
        return f"{float(row[0]):.6g}"
    return text.removesuffix("T00:00:00") if row.dtype.kind == "M" else text


def rows_of(table: Columns, names: tuple[str, ...], gone: Mapping[int, str] | None = None) -> TableRows:
    """Rows of a table, with their signals where it has some."""
    kinds = {None: TableRows, "window": WindowRows, "recording": RecordingRows}
    return kinds[None if table.signals is None else table.signals.unit](table, names, gone or {})
