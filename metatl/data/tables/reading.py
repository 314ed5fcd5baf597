"""Tables from files, data frames and arrays: one entry, one rule for the types of columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.tables.arrays import from_arrays, from_frame, from_npz, from_parquet
from metatl.data.tables.columns import Columns
from metatl.data.tables.decimals import settle
from metatl.data.tables.decoding import decoded, read_bytes
from metatl.data.tables.delimited import Records, records
from metatl.data.tables.formats import MISSING, NUMBERS, Typed, parse, typed
from metatl.types import MetatlError


def read_table(
    place: str | Path | Mapping[str, Any] | Any,
    *,
    text: str | None = None,
    formats: Mapping[str, str] | None = None,
) -> Columns:
    """A table: a CSV or TSV file, Parquet, npz, a pandas DataFrame, or arrays by name.

    Delimiter (, ; | or tab) and encoding (UTF-8, UTF-16, else Latin-1) are found out; what columns hold is
    said in `tables.formats`. In an npz file a matrix x gives columns x0, x1, ..., or those that an array of
    names of its width names.

    Args:
        place: path, data frame, or mapping.
        text: name of a column of sentences, left as they are.
        formats: `Columns.formats` of a table that was read before, so that this one is read alike.

    Raises MetatlError, naming file and line and what to do, for what is no such table.
    """
    given = {**(formats or {}), **({text: "text"} if text is not None else {})}
    if isinstance(place, str | Path):
        columns = _from_file(Path(place), given)
    elif isinstance(place, Columns):
        columns = place
    elif isinstance(place, Mapping):
        columns = from_arrays(place, "table", given)
    elif hasattr(place, "columns") and hasattr(place, "dtypes"):
        columns = from_frame(place, "data frame", given)
    else:
        raise MetatlError(
            f"a {type(place).__name__} is no table; give a path (CSV, TSV, Parquet, npz), a DataFrame, or "
            "arrays by name"
        )
    if text is not None:
        columns.require([text])
    return columns


def _from_file(path: Path, given: Mapping[str, str]) -> Columns:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return from_npz(path, given)
    if suffix in (".parquet", ".pq"):
        return from_parquet(path, given)
    content = read_bytes(path)
    if content.startswith(b"PAR1"):
        return from_parquet(path, given)
    written, note = decoded(content, path)
    found = records(written, str(path))
    del content, written
    return _typed(found, path, given, [note] if note else [])


def _typed(found: Records, path: Path, given: Mapping[str, str], notes: list[str]) -> Columns:
    where, lines = str(path), np.array(found.lines, np.int64)
    _check_names(found, where)
    columns = dict(zip(_named(found.names), map(list, zip(*found.rows, strict=True)), strict=True))
    read: dict[str, Typed] = {}

    def line(row: int) -> str:
        return f"{where} line {found.lines[row]}"

    like_another = any(form != "text" for form in given.values())
    notes += found.notes
    for name, values in columns.items():
        blank = name not in found.names
        if blank and all(value.strip() in ("", str(i), str(i + 1)) for i, value in enumerate(values)):
            if any(values):
                notes.append(f"{name} has no name and counts the rows: left out")
            continue
        read[name] = typed(values, name, line, given.get(name))
        if name not in given and not like_another:
            _check_second_header(values, read[name].format, name, found, where)
    settle(read, {name: columns[name] for name in read if name not in given}, line, found.delimiter)
    notes += [one.note for one in read.values() if one.note]
    arrays = {name: one.array for name, one in read.items()}
    formats = {name: one.format for name, one in read.items()}
    if len(arrays) == 1 and (mark := next((m for m in (":", " ", "^") if m in next(iter(arrays))), None)):
        notes.append(f"{where} has one column; {mark!r} separates no fields: use , ; | or a tab")
    return Columns(arrays, where, tuple(notes), formats, lines, "line")


def _named(names: list[str]) -> list[str]:
    return [name or f"column {i}" for i, name in enumerate(names, 1)]


def _check_names(found: Records, where: str) -> None:
    """Refuse names that stand twice, and a first line of numbers."""
    seen: dict[str, int] = {}
    for i, name in enumerate(_named(found.names), 1):
        if name in seen:
            raise MetatlError(f"{where} names two columns {name!r} ({seen[name]} and {i}); rename one")
        seen[name] = i
    numbers = [parse(name, "number") for name in found.names]
    counted = numbers in ([*range(len(numbers))], [*range(1, len(numbers) + 1)])
    if None not in numbers and not counted:
        raise MetatlError(
            f"{where} begins with numbers ({', '.join(found.names[:4])}); give it a first line with the "
            "names of its columns"
        )


def _check_second_header(values: list[str], form: str, name: str, found: Records, where: str) -> None:
    """Refuse a first row that is the only one without a number, in a table of three rows or more."""
    first, *rest = (value.strip() for value in values)
    rest = [value for value in rest if value.lower() not in MISSING]
    if form != "category" or len(rest) < 2 or first.lower() in MISSING or any(map(str.isdigit, first)):
        return
    if any(all(parse(value, number) is not None for value in rest) for number in NUMBERS):
        raise MetatlError(
            f"{where} line {found.lines[0]}: {name} is {first!r}, and a number in every row below; delete "
            "the line if it is a second line of names, else leave the field empty"
        )
