"""Text with delimiters: names of columns, records, and the line that each record begins in."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from itertools import islice
from typing import NamedTuple

from metatl.types import MetatlError

DELIMITERS = (",", ";", "\t", "|")
_NONE = "\x1f"  # splits nothing: a file of one column
_SAMPLE, _LOOK = 1 << 17, 200
_SAID = re.compile(r"sep=(.)\r?\n")


class Records(NamedTuple):
    """names [k]; rows, k fields each; lines: where each row begins, from 1; delimiter: between fields."""

    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    notes: tuple[str, ...] = ()
    delimiter: str = ","


def records(text: str, where: str) -> Records:
    """Header and rows of a text; the delimiter is , ; | or a tab, whichever the lines agree on.

    Raises MetatlError, with file and line, for a quote that is not closed, rows with more or fewer fields
    than there are names, the line of names once more, and no rows.
    """
    said = _SAID.match(text)
    delimiter = said[1] if said else _delimiter(text[said.end() if said else 0 :][:_SAMPLE], where)
    found, note = _split(text, delimiter, where)
    body = found[1:] if said else found
    if not body:
        raise MetatlError(f"{where} is empty; a table has a line with the names of its columns, and rows")
    (first, header), rows = body[0], body[1:]
    names, width = [name.strip() for name in header], len(header)
    for line, row in rows:
        while len(row) > width and not row[-1].strip():  # delimiters at the end of a line
            row.pop()
        if len(row) != width:
            said_more = f"quote fields that hold {delimiter!r}" if len(row) > width else "fill it up"
            raise MetatlError(
                f"{where} line {line} has {len(row)} field{'s' * (len(row) != 1)}, and line {first} names "
                f"{width} columns: {said_more}, or delete the line"
            )
    again = [line for line, row in rows if width > 1 and [field.strip() for field in row] == names]
    if again:
        raise MetatlError(
            f"{where} line {again[0]} says the names of line {first} once more, as where files were put one "
            "after the other; delete the line"
        )
    if not rows:
        raise MetatlError(f"{where} has no row below its names {', '.join(names[:6])}")
    notes = (note,) if note else ()
    return Records(names, [row for _, row in rows], [line for line, _ in rows], notes, delimiter)


def _delimiter(sample: str, where: str) -> str:
    """The one by which most records have as many fields as the names, and of equal ones, more fields."""
    scores, below = dict[str, tuple[float, int]](), 0
    for delimiter in DELIMITERS:
        counts = _counts(sample, delimiter)
        if not counts:
            continue
        first, rest = counts[0], counts[1:]
        if first > 1:
            scores[delimiter] = (rest.count(first) / len(rest) if rest else 0.0, first)
        elif len(rest) >= 3:
            ((width, often),) = Counter(rest).most_common(1)
            below = width if width > 2 and often > 0.9 * len(rest) else below
    if below and not scores:  # with names in line 1, other lines may hold decimal commas
        raise MetatlError(
            f"{where} line 1 has one field, and the lines below have {below}: delete what stands above the "
            "names of the columns"
        )
    return max(scores, key=scores.__getitem__) if scores else _NONE


def _counts(sample: str, delimiter: str) -> list[int]:
    """Fields of the first records; the last of a sample may be cut."""
    counts: list[int] = []
    try:
        for row in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), _LOOK):
            counts += [len(row)] if row else []
    except csv.Error:
        pass
    return counts[:-1] if len(sample) == _SAMPLE and len(counts) > 1 else counts


def _split(text: str, delimiter: str, where: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Line and fields of every record that is no blank line, and a note."""
    try:
        return _read(text, delimiter, csv.QUOTE_MINIMAL), ""
    except csv.Error as error:
        if delimiter == "\t":  # written by programs that never quote
            return _read(text, delimiter, csv.QUOTE_NONE), f"{where}: quotes are read as characters"
        _, _, line = str(error).rpartition(" ")
        raise MetatlError(
            f"{where} line {line}: a field in quotes does not end as one; write a quote inside as two"
        ) from error


def _read(text: str, delimiter: str, quoting: int) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)  # pyright: ignore[reportArgumentType]
    found: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            if row:
                found.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"{error} in line {line}") from error
    return found
