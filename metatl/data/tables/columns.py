"""A table in memory: named columns of one length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from metatl.data.waves import Signals
from metatl.text import near
from metatl.types import MetatlError

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class Columns(Mapping[str, Array]):
    """Columns by name, in order, each an array [n].

    Numbers are float64 (NaN where missing), booleans bool, dates datetime64[s] (NaT), and all else strings
    in object arrays (None where missing).

    Args:
        arrays: by name.
        name: of the table, for messages.
        notes: what was decided while reading, a sentence each.
        formats: how values are written, by column (see `tables.formats`): `read_table` takes them for other
            files of the same kind.
        lines: of the file, where each row begins [n]; None for row 1, 2, ... of what has no lines.
        counted: whether `lines` are lines of a file, or rows.
        signals: that the rows have beside their columns (windows of sensors, recordings), if any.
    """

    arrays: Mapping[str, Array]
    name: str = "table"
    notes: tuple[str, ...] = ()
    formats: Mapping[str, str] = field(default_factory=dict[str, str])
    lines: Array | None = None
    counted: Literal["line", "row"] = "row"
    signals: Signals | None = None

    def __post_init__(self) -> None:
        """Refuse columns of unequal lengths."""
        sizes = {name: len(array) for name, array in self.arrays.items()}
        if len({*sizes.values()}) > 1:
            said = ", ".join(f"{name} {size}" for name, size in list(sizes.items())[:6])
            raise MetatlError(f"{self.name}: columns have different lengths ({said}); give one value a row")

    def __getitem__(self, name: str) -> Array:
        """The column of this name [n]; raises MetatlError with the nearest names."""
        self.require([name])
        return self.arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.arrays)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.arrays.values()), ()))

    def require(self, names: Iterable[str]) -> None:
        """Raise MetatlError, with the nearest names, if a column is not there."""
        missing = [name for name in names if name not in self.arrays]
        if not missing:
            return
        meant = near(missing[0], self.arrays)
        if len(self.arrays) == 1:
            meant = f"; it has one column, {next(iter(self.arrays))!r}: separate fields by , ; | or a tab"
        raise MetatlError(f"{self.name} has no column {_some(map(repr, missing))}{meant}")

    def take(self, index: Any) -> Columns:
        """The rows of an index or a mask, in its order."""
        picked = np.asarray(index)
        arrays = {name: array[picked] for name, array in self.arrays.items()}
        lines = np.arange(1, self.rows + 1) if self.lines is None else self.lines
        signals = None if self.signals is None else self.signals.take(picked)
        return replace(self, arrays=arrays, lines=lines[picked], signals=signals)

    def drop(self, names: Iterable[str]) -> Columns:
        """All columns but these; raises MetatlError, with the nearest names, for one that is not there."""
        names = set(names)
        self.require(sorted(names))
        return self.only(name for name in self if name not in names)

    def only(self, names: Iterable[str]) -> Columns:
        """These columns, in this order."""
        names = list(names)
        self.require(names)
        formats = {name: self.formats[name] for name in names if name in self.formats}
        return replace(self, arrays={name: self.arrays[name] for name in names}, formats=formats)

    def line(self, row: int) -> int:
        """The line of the file that a row began in, from 1; without such a file the row's number, from 1."""
        return row + 1 if self.lines is None else int(self.lines[row])

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f"{self.name} {self.counted} {self.line(row)}"

    def digests(self) -> list[str]:
        """SHA-256 of each row's names and values, whatever the order of the columns."""
        names = sorted(self.arrays)
        texts = [_said(self.arrays[name]) for name in names]
        front = "\x1f".join(names)
        rows = zip(*texts, strict=True) if texts else ()
        return [hashlib.sha256("\x1f".join([front, *row]).encode()).hexdigest() for row in rows]


def _said(array: Array) -> list[str]:
    """Values as text, a null character where missing; numbers that stand there often are written once."""
    values, place = np.unique(array, return_inverse=True) if array.dtype.kind == "f" else (array, None)
    texts = ["\x00" if value is None else value for value in as_text(values)]
    return texts if place is None else np.array(texts, object)[place].tolist()


def as_text(array: Array) -> list[str | None]:
    """Values as text, whole numbers without a point; None where missing."""
    kind = array.dtype.kind
    if kind == "f":
        return [None if v != v else repr(int(v)) if v.is_integer() else repr(v) for v in array.tolist()]
    if kind == "b":
        return ["true" if v else "false" for v in array.tolist()]
    if kind == "M":
        return [None if v == "NaT" else v for v in np.datetime_as_string(array).tolist()]
    return list(array.tolist())


def missing(array: Array) -> NDArray[np.bool_]:
    """[n]: where a value is missing."""
    kind = array.dtype.kind
    if kind == "O":
        return np.array([value is None for value in array.tolist()], np.bool_)
    if kind == "M":
        return np.isnat(array)
    return np.isnan(array) if kind == "f" else np.zeros(len(array), np.bool_)


def _some(names: Iterable[str], most: int = 8) -> str:
    held = list(names)
    return ", ".join(held[:most]) + (f" and {len(held) - most} more" if len(held) > most else "")
