"""Rows of a table as examples, with what is to be predicted taken out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metatl.data.class_folder import PARTS
from metatl.data.examples import Examples, Index, Reader, TestPart
from metatl.data.rows import TableRows, rows_of
from metatl.data.signals import heard
from metatl.data.tables import Columns, read_table, target
from metatl.data.tables.columns import as_text, missing
from metatl.data.tables.formats import check
from metatl.data.tables.target import target_names, unlabelled
from metatl.data.targets import no_targets
from metatl.opening import text_of
from metatl.types import MetatlError

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".npz")


@dataclass(frozen=True)
class TableReader(Reader):
    """Tables like one that was read before.

    formats: of its columns; left_out: columns that are no inputs; id: the column that names rows, None for
    their lines; audio: the column of wav files.
    """

    formats: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: tuple[str, ...] = ()
    id: str | None = None
    audio: str | None = None

    def __post_init__(self) -> None:
        """Refuse formats that are none: a reader may come out of a file."""
        check(self.formats)

    id_name: ClassVar[str] = "line"

    def of_use(self, columns: Sequence[str]) -> TableReader:
        """The same where only these columns count: others (the target, ids) are read as they are written."""
        formats = {name: form if name in columns else "text" for name, form in self.formats.items()}
        return replace(self, formats=formats)

    def read(self, places: Sequence[Path]) -> TableRows:
        """The rows of one table; raises MetatlError for several, which have no lines in common."""
        if len(places) != 1:
            raise MetatlError(f"{len(places)} tables; name one, so that predictions stand in its lines")
        table, why = heard(read_table(places[0], formats=self.formats), self.audio, places[0])
        named = [line_name(table, i, self.id) for i in range(table.rows)]
        return rows_of(table.drop([name for name in self.left_out if name in table]), tuple(named), why)


def line_name(table: Columns, row: int, of: str | None) -> str:
    """What a prediction calls a row."""
    if of is not None and of in table:
        return (as_text(table[of][row : row + 1])[0] or "").strip() or str(table.line(row))
    return str(table.line(row))


def _names_rows(table: Columns, column: str, judges: NDArray[np.bool_]) -> bool:
    """Whether a column calls no two rows of a part alike; missing names aside."""
    parts = (table[column][part] for part in (judges, ~judges))
    known = [[text for text in as_text(part) if text is not None] for part in parts]
    return all(len({*part}) == len(part) for part in known)


def read_parts(place: Any, text: str | None) -> tuple[Columns, Index | None, TestPart]:
    """A table, and which rows judge: of a folder those of test (else val), of one file none.

    Raises MetatlError where the tables of a folder have other columns.
    """
    if not (isinstance(place, str | Path) and Path(place).is_dir()):
        return read_table(place, text=text), None, "folds"
    files = {part: file for part in PARTS if (file := table_file(Path(place), part)) is not None}
    first = read_table(files["train"], text=text)
    parts = {"train": first}
    parts |= {p: read_table(f, text=text, formats=first.formats) for p, f in files.items() if p != "train"}
    judges: TestPart = "test" if "test" in parts else "val" if "val" in parts else "folds"
    rest = [part for name, part in parts.items() if name != "train"]
    for part in rest:
        part.require(first)
    arrays = {name: np.concatenate([part[name] for part in parts.values()]) for name in first}
    lines = np.concatenate([[part.line(i) for i in range(part.rows)] for part in parts.values()])
    signals = None if first.signals is None else first.signals.joined([p.signals for p in rest if p.signals])
    name = text_of(Path(place).resolve().name)
    whole = replace(first, arrays=arrays, name=name, lines=lines, signals=signals)
    of = np.concatenate([[name == judges] * part.rows for name, part in parts.items()])
    return whole, np.flatnonzero(of) if judges != "folds" else None, judges


def table_file(folder: Path, part: str) -> Path | None:
    """The table of a folder that is called `train`, say."""
    return next((f for f in (folder / f"{part}{suffix}" for suffix in SUFFIXES) if f.is_file()), None)


def table_examples(
    place: Any,
    target_name: str | None,
    text: str | None = None,
    several: str | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    audio: str | None = None,
    strict: bool = True,
    apart: str | None = None,
    paired: str | None = None,
) -> tuple[Examples, Columns]:
    """Examples of a table and their columns; raises MetatlError in one line for what does not work out.

    drop: columns that are no inputs; strict: whether all of them, target, group and apart must be there;
    paired: column that calls a thing as the other data do, where rows of both are of it. A table without a
    column of the target has rows without labels.
    """
    table, test, part = read_parts(place, text)
    if target_name is None:
        names = ", ".join(list(table)[-8:])
        raise MetatlError(f"{table.name}: which column is to be predicted? Name it (--target): {names}")
    if not strict:
        drop = [name for name in drop if name in table]
        group, apart = (name if name in table else None for name in (group, apart))
    named = [] if not strict and unlabelled(table, target_name) else target_names(table, target_name)
    table.require([*named, *drop, *(name for name in (group, apart, paired) if name)])
    judges = np.zeros(table.rows, bool)
    if test is not None:
        judges[test] = True
    table, why = heard(table, audio, place)
    numbered = replace(table, arrays={**table.arrays, _ROW: np.arange(table.rows, dtype=np.float64)})
    numbered = _known(numbered, [name for name in (group, apart) if name is not None])
    if named:
        targets, rest = target(numbered, target_name, several)
    else:
        targets, rest = no_targets(numbered.rows), numbered
    of = rest[_ROW].astype(np.int64)
    whole = np.flatnonzero([int(row) not in why for row in of])
    gone = [name for name in (*drop, group, apart, paired) if name is not None]
    reader = TableReader(
        dict(table.formats),
        (*named, *gone),
        next((name for name in drop[:1] if _names_rows(table, name, judges)), None),
        audio,
    )
    names = tuple(line_name(table, int(row), reader.id) for row in of)
    columns = rest.drop([_ROW, *[name for name in gone if name in rest]])
    if not len(columns):
        raise MetatlError(f"{table.name} has no column beside {target_name!r} that could tell it; add some")
    found = Examples(
        text_of(Path(place).resolve().stem) if isinstance(place, str | Path) else table.name,
        reader,
        rows_of(replace(columns, notes=()), names),
        targets,
        np.flatnonzero(~judges[of]),
        np.flatnonzero(judges[of]) if test is not None else None,
        part,
        tuple(why.values()),
        rest.notes,
        *(
            None if name is None else np.array([one or "" for one in as_text(rest[name])])
            for name in (group, apart, paired)
        ),
    )
    return (found, rest) if not why else (found.take(whole), rest.take(whole))


def _known(table: Columns, names: Sequence[str]) -> Columns:
    """The rows that have a value in these columns: nobody knows who else's the others are.

    A note says how many are left out; raises MetatlError for a column without a value.
    """
    for name in names:
        held = ~missing(table[name])
        if not held.any():
            raise MetatlError(f"{table.name}: column {name!r} has no value in any row; name another column")
        if left := int((~held).sum()):
            first = table.where(int(np.flatnonzero(~held)[0]))
            said = f"{left} of {table.rows} rows have no {name} and are left out ({first} the first)"
            table = replace(table.take(held), notes=(*table.notes, said))
    return table


_ROW = "row of the table\x00"
