"""Rows of a CSV or TSV file with sentences in it, and text out of files in any encoding."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path
from typing import NamedTuple

from metatl.opening import reading
from metatl.types import MetatlError

SUFFIXES = (".csv", ".tsv")
_MOST_BYTES, _LONGEST_FIELD = 1 << 30, 1 << 26
_DELIMITERS = (",", ";", "\t", "|")
_NONE = "\x1f"
"""Splits nothing: a file of one column."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Records(NamedTuple):
    """names [k]; rows, k fields each; lines: where each row begins, from 1; notes: what had to be guessed."""

    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    notes: tuple[str, ...] = ()


def written_in(file: Path) -> tuple[str, str]:
    """A file's text, and a note where its encoding was a guess: UTF-8, UTF-16, else Latin-1.

    Raises MetatlError for a file that is not there, too large, or no text.
    """
    try:
        with reading(file) as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MetatlError(f"{file}: cannot be read ({error.strerror or error})") from error
    if len(content) > _MOST_BYTES:
        raise MetatlError(f"{file}: longer than {_MOST_BYTES >> 20} MiB; divide it into several files")
    coding = next((name for mark, name in _MARKS if content.startswith(mark)), None) or _guessed(content)
    try:
        return _text(content.decode(coding), file), ""
    except UnicodeDecodeError as error:
        if coding != "utf-8":
            raise MetatlError(f"{file}: damaged; it is no {coding} as its beginning says") from error
        line = content.count(b"\n", 0, error.start) + 1
    note = f"{file} is not UTF-8 (line {line}) and is read as Latin-1; save it as UTF-8 if letters are wrong"
    return _text(content.decode("latin-1"), file), note


def _guessed(content: bytes) -> str:
    """UTF-16 without a mark has zeros at every other place."""
    front = content[:512]
    for at, coding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if front[at::2].count(0) > 0.4 * len(front) and not front[1 - at :: 2].count(0):
            return coding
    return "utf-8"


def _text(text: str, file: Path) -> str:
    if "\0" in text:
        raise MetatlError(f"{file}: no text (it holds zero bytes); save it as UTF-8")
    return text


def records(file: Path) -> Records:
    """Header and rows; the delimiter is the one of , ; | and tab that most lines agree on.

    Raises MetatlError, with the line, for rows of unequal length, names that stand twice, and no rows.
    """
    text, note = written_in(file)
    delimiter = max((*_DELIMITERS, _NONE), key=lambda one: _agreed(text, one))
    found = _split(text, delimiter, file)
    if len(found) < 2:
        raise MetatlError(f"{file}: no rows; give a line with the names of the columns, and a row each line")
    names = [name.strip() for name in found[0][1]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MetatlError(f"{file}: two columns are called {twice!r}; give each a name of its own")
    for line, row in found[1:]:
        if len(row) != len(names):
            raise MetatlError(
                f"{file} line {line} has {len(row)} fields, and its first line names {len(names)} columns; "
                f"put texts that hold {delimiter!r} into quotes"
            )
    return Records(
        names, [row for _, row in found[1:]], [line for line, _ in found[1:]], (note,) if note else ()
    )


def _split(text: str, delimiter: str, file: Path) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line that it begins in."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    rows: list[tuple[int, list[str]]] = []
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1
    try:
        for row in reader:
            if row:
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise MetatlError(f"{file} line {line}: {error}; is a quote not closed?") from error
    finally:
        csv.field_size_limit(before)
    return rows


def _agreed(text: str, delimiter: str) -> tuple[float, int]:
    """Share of the first records with as many fields as the first, which has more than one; that number."""
    sample = [row for row in csv.reader(io.StringIO(text[: 1 << 16], newline=""), delimiter=delimiter) if row]
    if not sample or len(sample[0]) < 2:
        return 0.0, int(delimiter == _NONE)
    width = len(sample[0])
    return sum(len(row) == width for row in sample) / len(sample), width
