"""A domain as it is read: rows, and the class of each where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.class_folder import PARTS
from metatl.data.examples import Examples, Inputs, Reader
from metatl.data.rows import rows_of
from metatl.data.table_rows import read_parts, table_file
from metatl.data.tables import Columns
from metatl.data.tables.columns import missing
from metatl.data.tables.target import class_names, target
from metatl.data.texts import of_column
from metatl.opening import text_of
from metatl.transferring.opened import USUAL, Words, opened
from metatl.types import MetatlError

FEWEST = 20
"""Rows of a domain below which no test says anything."""


@dataclass(frozen=True)
class ComparedDomain:
    """Rows of one domain.

    called [n]: the class of every row, None where it is not known; the empty tuple where none is; values [n]:
    real targets, NaN where missing, instead; net: the usual one for such rows, None for columns.
    """

    name: str
    inputs: Inputs
    called: tuple[str | None, ...]
    values: np.ndarray[Any, Any] | None
    net: str | None
    notes: tuple[str, ...] = ()

    def take(self, places: Sequence[int]) -> ComparedDomain:
        """These rows."""
        index = np.asarray(places, np.int64)
        called = tuple(self.called[i] for i in index) if self.called else ()
        values = None if self.values is None else self.values[index]
        return replace(self, inputs=self.inputs.take(index), called=called, values=values)


def domains(source: Any, target_place: Any, words: Words) -> tuple[ComparedDomain, ComparedDomain]:
    """Both domains. The target's labels may be missing, in a table its column too.

    Raises MetatlError in one line for what cannot be read, unlike kinds of rows, fewer than 20 of them, one
    and the same domain, and a source of one class.
    """
    one, reader = _read(source, words, None)
    other, _ = _read(target_place, words, reader)
    check_alike(one, other)
    for what, domain in (("source", one), ("target", other)):
        if len(domain.inputs) < FEWEST:
            count, unit = len(domain.inputs), domain.inputs.unit
            raise MetatlError(
                f"{what}: {domain.name} has {count} {unit}{'s' * (count != 1)}; give {FEWEST} or more"
            )
    known = {name for name in one.called if name is not None}
    if len(known) == 1:
        raise MetatlError(
            f"source: {one.name} has one class only ({next(iter(known))!r}), so that nothing can be said of "
            "labels; compare the inputs alone (--drop in place of --target), or give rows of another class"
        )
    _check_two(one, other)
    return one, other


def one_domain(place: Any, words: Words) -> ComparedDomain:
    """A domain alone, whose labels may be missing; MetatlError in one line for what cannot be read."""
    if words.target is None and isinstance(place, str | Path) and Path(place).is_dir():
        return _read(place, words, None)[0]
    return _read(place, words, _Tables())[0]


def check_alike(one: ComparedDomain, other: ComparedDomain) -> None:
    """Raise MetatlError for unlike kinds of rows."""
    if one.inputs.unit != other.inputs.unit:
        raise MetatlError(
            f"the source holds {one.inputs.unit}s and the target {other.inputs.unit}s, which no test "
            "compares; give two domains of one kind of rows"
        )


def _read(place: Any, words: Words, reader: Reader | None) -> tuple[ComparedDomain, Reader | None]:
    """reader: the source's, for rows of a folder without classes."""
    if isinstance(place, str | Path):
        folder = Path(place)
        if not folder.exists():
            raise MetatlError(f"{folder}: no such file or folder; name a folder of photos, or a table")
        if folder.is_dir() and table_file(folder, "train") is None:
            return _of_folder(folder, words, reader)
    return _of_table(place, words, labelled=reader is None), _Tables()


class _Tables(Reader):
    """Stands for the source's reader, where the target is a table again."""

    def read(self, places: Sequence[Path]) -> Inputs:
        raise MetatlError(f"{places[0]}: the source is a table, and this is none; give two of one kind")


def _of_folder(folder: Path, words: Words, reader: Reader | None) -> tuple[ComparedDomain, Reader | None]:
    if words.said and reader is None:
        word = next(iter(words.said))
        raise MetatlError(f"--{word} names a column of a table, and {folder} is a folder without train.csv")
    classes = [child for child in folder.iterdir() if child.is_dir() and child.name[0] != "."]
    if reader is not None and (not classes or isinstance(reader, _Tables)):
        inputs = reader.read([folder])
        return ComparedDomain(text_of(folder.name), inputs, (), None, USUAL.get(inputs.unit)), reader
    names = {child.name for child in classes}
    if len(classes) == 1 and not names & set(PARTS) and reader is not None:
        inputs = reader.read([folder])  # all of one class: read_class_folder wants two
        called = (*names,) * len(inputs)
        return ComparedDomain(text_of(folder.name), inputs, called, None, USUAL.get(inputs.unit)), reader
    found, net = opened(folder, words)
    return _of_examples(found, net), found.reader


def _of_examples(found: Examples, net: str | None) -> ComparedDomain:
    called = tuple(found.targets.names[int(label)] for label in found.targets.values)
    return ComparedDomain(found.name, found.inputs, called, None, net, (*found.notes, *found.left_out))


def _of_table(place: Any, words: Words, labelled: bool) -> ComparedDomain:
    """labelled: whether the target column has to be there."""
    table = read_parts(place, words.text)[0]
    drop = [name.strip() for name in (words.drop or "").split(",") if name.strip() in table]
    name = text_of(Path(place).resolve().stem) if isinstance(place, str | Path) else table.name
    called, values = _targets(table, words.target, labelled)
    named = [words.target] if words.target is not None and words.target in table else []
    rest = table.drop([*drop, *named])
    lines = tuple(str(table.line(i)) for i in range(table.rows))
    if words.text is not None:
        return ComparedDomain(name, of_column(rest, words.text, lines), called, values, USUAL["sentence"])
    if not len(rest):
        raise MetatlError(f"{name} has no column beside {words.target!r}; add some")
    plain = replace(rest, notes=(), signals=None)
    return ComparedDomain(name, rows_of(plain, lines), called, values, None, table.notes)


def _targets(table: Columns, name: str | None, labelled: bool) -> tuple[tuple[str | None, ...], Any]:
    """The class of every row, or real values; neither where nothing is known."""
    if name is None or (not labelled and (name not in table or bool(missing(table[name]).all()))):
        return (), None
    table.require([name])
    there = ~missing(table[name])
    if len({*table[name][there].tolist()}) < 2 and there.any():  # of a kind that one value does not tell
        return tuple(class_names(table, name)), None
    kind = target(table, name)[0].kind
    if kind == "real":
        return (), table[name].astype(np.float64)
    return tuple(class_names(table, name)), None


def _check_two(one: ComparedDomain, other: ComparedDomain) -> None:
    """Raise MetatlError where both hold the same rows with the same targets."""
    if len(one.inputs) != len(other.inputs) or one.called != other.called:
        return
    values = [np.zeros(0) if domain.values is None else domain.values for domain in (one, other)]
    if not np.array_equal(values[0], values[1], equal_nan=True):
        return
    if all(one.inputs.digest(i) == other.inputs.digest(i) for i in range(len(one.inputs))):
        raise MetatlError(
            f"source and target hold the same {len(one.inputs)} {one.inputs.unit}s with the same targets, so "
            "nothing can differ; name two domains"
        )
