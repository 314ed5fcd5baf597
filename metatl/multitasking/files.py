"""Several tables with a task each, as one table whose targets are missing in the other files' rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from metatl.data.tables import Columns, read_table
from metatl.data.tables.columns import Array
from metatl.opening import text_of
from metatl.types import MetatlError


def joined(places: Sequence[Path], names: str | Sequence[str] | None, text: str | None = None) -> Columns:
    """The rows of all files; a task is called as its file is, and its values are missing in the others' rows.

    names: the column of every file's task, or one that all files have. Inputs are the columns that all files
    have; what else one has is left out, with a note. The tasks stand last, in the order of the files. Raises
    MetatlError for folders, for files of one name, for a task that is called as an input is, and for files
    without a common input.
    """
    if folders := [str(place) for place in places if place.is_dir()]:
        raise MetatlError(f"{folders[0]} is a folder; several tasks in files of their own are tables")
    first = read_table(places[0], text=text)
    said = () if names is None else names.split(",") if isinstance(names, str) else names
    targets = [one.strip() for one in said]
    if len(targets) not in (1, len(places)):
        raise MetatlError(
            f"{len(places)} files and {len(targets)} targets: give --targets one column that all files have, "
            f"or one for each; {first.name} has {', '.join(first)}"
        )
    tables = [first, *(read_table(place, text=text, formats=first.formats) for place in places[1:])]
    tasks = [text_of(place.stem) for place in places]
    if len({*tasks}) < len(tasks):
        raise MetatlError(f"tasks are called as their files are, and two of {', '.join(tasks)} are the same")
    columns = targets * len(places) if len(targets) == 1 else targets
    for table, column in zip(tables, columns, strict=True):
        table.require([column])
    shared = [n for n in first if n not in columns and all(n in table for table in tables)]
    other = sorted({n for table in tables for n in table} - {*shared, *columns})
    if not shared:
        raise MetatlError(f"{', '.join(tasks)} have no column in common beside what is to be predicted")
    if clash := {*tasks} & {*shared}:
        raise MetatlError(f"a file and a column are called {sorted(clash)[0]!r}; rename one")
    arrays = {n: np.concatenate([table[n] for table in tables]) for n in shared}
    sizes = [table.rows for table in tables]
    for i, (table, column) in enumerate(zip(tables, columns, strict=True)):
        arrays[tasks[i]] = np.concatenate(
            [table[column] if j == i else _nothing(table[column], size) for j, size in enumerate(sizes)]
        )
    lines = np.concatenate([[table.line(row) for row in range(table.rows)] for table in tables])
    notes = dict.fromkeys(note for table in tables for note in table.notes)
    if other:
        notes[f"columns that not all files have are left out: {', '.join(other)}"] = None
    name = "+".join(tasks)
    return replace(
        first.only(shared), arrays=arrays, name=name, lines=lines, notes=tuple(notes), signals=None
    )


def _nothing(like: Array, count: int) -> Array:
    """So many missing values, of a type that lies beside these."""
    if like.dtype.kind == "M":
        return np.full(count, np.datetime64("NaT"), like.dtype)
    return np.full(count, None, object) if like.dtype.kind == "O" else np.full(count, np.nan)
