"""Texts with a fixed set of classes: `[train|val|test/]<class>/*.txt`, or rows of a CSV or TSV file."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metatl.data.class_folder import PARTS, FileKind, read_class_folder
from metatl.data.fixed import Index
from metatl.data.images import hidden
from metatl.data.photos import TestPart
from metatl.data.text_rows import SUFFIXES, Records, records, written_in
from metatl.opening import text_of
from metatl.types import MetatlError

TEXTS = FileKind("text", (".txt",))
NO_CLASS = -1


class _Row(NamedTuple):
    text: str
    label: str | None
    place: str
    test: bool


@dataclass(frozen=True)
class Sentences:
    """The user's own problem on texts; n texts.

    classes: sorted names, none where there are no labels; texts [n]; labels [n]: places among the classes,
    NO_CLASS without; places [n]: file, or file and line; digests [n]: SHA-256 of the text; pool: rows that
    may be labelled; test: rows that judge, None where there is no such part (`folds`); left_out: places of
    empty texts and of rows without a class; notes: what had to be guessed.
    """

    classes: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Index
    places: tuple[str, ...]
    digests: tuple[str, ...]
    pool: Index
    test: Index | None
    part: TestPart
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def read_sentences(place: str | Path, text: str | None = None, target: str | None = None) -> Sentences:
    """The texts of a folder or file, with their classes if there are any.

    A folder holds a folder of .txt files for each class, or such folders in train/, val/ and test/, or
    train.csv, val.csv and test.csv (or .tsv); a folder of .txt files alone has no classes. With a test part,
    val counts as labelled; without it val is the test part.

    text: the column of texts, which need not be named where there is one only; target: that of the classes,
    None for texts without. Empty texts and rows without a class are left out and named. Raises MetatlError
    for anything else, with the nearest name of a column, and for fewer than two classes.
    """
    place = Path(place)
    if not place.exists():
        raise MetatlError(f"{place}: no such file or folder; name a CSV or TSV file, or a folder of texts")
    columns = text is not None or target is not None
    files = _tables(place, columns)
    if files:
        rows, part, notes = _of_tables(files, text, target)
    elif columns:
        raise MetatlError(f"{place} is no table, so it has no columns; leave text and target out")
    else:
        rows, part, notes = _of_folder(place)
    return _sentences(place, rows, part, notes)


def digest(sentence: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(sentence.encode("utf-8", "surrogatepass")).hexdigest()


def _tables(place: Path, columns: bool) -> dict[str, Path]:
    """Files by part; the file itself, or those of a folder that are called train, val and test."""
    if place.is_file() and (columns or place.suffix.lower() not in TEXTS.suffixes):
        return {"": place}
    inside = {part: [place / f"{part}{suffix}" for suffix in SUFFIXES] for part in PARTS}
    found = {part: next((f for f in files if f.is_file()), None) for part, files in inside.items()}
    return {part: file for part, file in found.items() if file is not None and found["train"] is not None}


def _of_tables(
    files: dict[str, Path], text: str | None, target: str | None
) -> tuple[list[_Row], TestPart, list[str]]:
    part: TestPart = "test" if "test" in files else "val" if "val" in files else "folds"
    rows: list[_Row] = []
    notes: list[str] = []
    for name, file in files.items():
        found = records(file)
        notes += found.notes
        at, to = _columns(found, text, target, file)
        for line, row in zip(found.lines, found.rows, strict=True):
            label = None if to is None else row[to].strip()
            rows.append(_Row(row[at], label, f"{text_of(file.name)} line {line}", name == part))
    return rows, part, notes


def _columns(found: Records, text: str | None, target: str | None, file: Path) -> tuple[int, int | None]:
    names = found.names
    to = None if target is None else _column(names, target, file)
    rest = [name for at, name in enumerate(names) if at != to]
    if text is None and len(rest) != 1:
        raise MetatlError(f"{file}: which column holds the texts? Name one (--text): {', '.join(rest[:8])}")
    return _column(names, rest[0] if text is None else text, file), to


def _column(names: Sequence[str], asked: str, file: Path) -> int:
    if asked in names:
        return names.index(asked)
    near = difflib.get_close_matches(asked, names, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names[:8])}"
    raise MetatlError(f"{file} has no column {asked!r}; {meant}")


def _of_folder(place: Path) -> tuple[list[_Row], TestPart, list[str]]:
    plain = [place] if place.is_file() else _plain(place)
    notes: list[str] = []

    def row(file: Path, label: str | None, test: bool) -> _Row:
        text, note = written_in(file)
        notes.extend([note] * bool(note))
        below = file.name if file == place else file.relative_to(place)
        return _Row(text.strip(), label, text_of(below), test)

    if plain:
        return [row(file, None, False) for file in plain], "folds", notes
    found = read_class_folder(place, TEXTS)
    rows = [row(one.file, found.classes[one.label], False) for one in found.labelled]
    rows += [row(one.file, found.classes[one.label], True) for one in found.test]
    return rows, found.part, notes


def _plain(folder: Path) -> list[Path]:
    """The texts of a folder that has no folders in it."""
    shown = sorted(child for child in folder.iterdir() if not hidden(child))
    if any(child.is_dir() for child in shown):
        return []
    return [file for file in shown if file.suffix.lower() in TEXTS.suffixes]


def _sentences(place: Path, rows: list[_Row], part: TestPart, notes: list[str]) -> Sentences:
    whole = [row for row in rows if not _lacks(row)]
    left_out = tuple(f"{row.place} ({_lacks(row)})" for row in rows if _lacks(row))
    if not whole:
        raise MetatlError(f"{place}: holds no text" + (" with a class" if rows else ""))
    labelled = whole[0].label is not None
    classes = sorted({row.label for row in whole if row.label is not None and not row.test})
    _check_classes(place, whole, classes, labelled)
    index = {name: at for at, name in enumerate(classes)}
    labels = np.array([NO_CLASS if row.label is None else index[row.label] for row in whole], np.int64)
    judges = np.array([row.test for row in whole], bool)
    return Sentences(
        tuple(classes),
        tuple(row.text for row in whole),
        labels,
        tuple(row.place for row in whole),
        tuple(digest(row.text) for row in whole),
        np.flatnonzero(~judges),
        np.flatnonzero(judges) if part != "folds" else None,
        part,
        left_out,
        tuple(notes),
    )


def _lacks(row: _Row) -> str:
    if not row.text.strip():
        return "empty"
    return "no class" if row.label == "" else ""


def _check_classes(place: Path, rows: list[_Row], classes: list[str], labelled: bool) -> None:
    if labelled and len(classes) < 2:
        held = f"one class only, {classes[0]!r}" if classes else "no class to learn"
        raise MetatlError(f"{place}: holds {held}; give texts of two classes or more")
    new = next((row for row in rows if row.label is not None and row.label not in classes), None)
    if new is not None:
        raise MetatlError(
            f"{place}: class {new.label!r} ({new.place}) is in the test part only; give train some of it"
        )
