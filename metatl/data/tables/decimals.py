"""Commas and points in numbers that can be read in two ways: the other columns of the table say which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from metatl.data.tables.formats import NUMBERS, Typed, stripped, typed

COMMA = "number 1.234,5"
"""The format whose decimal mark is the comma."""
_MARKS = ("commas are decimal (1,234 is 1.234)", "points separate thousands (1.234 is 1234)")
_GROUPS = re.compile(r"[+-]?([1-9]\d{0,2}([.,])\d{3}|0|[1-9]\d*)")


def two_ways(values: Iterable[str]) -> bool:
    """Whether numbers may have marks between thousands or decimal ones: each 1,234 or 12, one of them 1,234.

    A value with two marks (1,234,567; 1,234.5), or with other than three digits after one, tells.
    """
    marks = set[str]()
    for value in values:
        found = _GROUPS.fullmatch(value)
        if found is None:
            return False
        marks |= {found[2]} - {None}
    return len(marks) == 1


def settle(
    read: dict[str, Typed],
    texts: Mapping[str, Sequence[str | None]],
    where: Callable[[int], str],
    delimiter: str = "",
) -> None:
    """Read the columns that could be read in two ways as the others say; the notes say why.

    read: all columns; texts: those of text without a given format; where: file and line of a row. The decimal
    mark is that of the columns that tell; where none does and semicolons separate fields, commas are decimal,
    which is why they do; else commas separate thousands, and points are decimal.
    """
    known = {
        name: [value for value in stripped(values) if value is not None]
        for name, values in texts.items()
        if read[name].format in NUMBERS and any(value and ("," in value or "." in value) for value in values)
    }
    unclear = [name for name, values in known.items() if two_ways(values)]
    telling = {name: read[name].format for name in known if name not in unclear}
    commas = [name for name, form in telling.items() if form == COMMA]
    points = [name for name, form in telling.items() if form != COMMA]
    for name in unclear:
        dotted, before = read[name].format == "number", read[name].note
        if reason := _commas_are_decimal(dotted, commas, points, delimiter):
            found = typed(texts[name], name, where, COMMA)
            read[name] = found._replace(note=f"column {name}: {_MARKS[dotted]}, {reason}")
        elif points and not commas and before:
            read[name] = read[name]._replace(note=f"{before}, as column {points[0]} says")
        elif before:
            told = f"{before}, which no other column tells; write 1.234 where they are decimal"
            read[name] = read[name]._replace(note=told)


def _commas_are_decimal(dotted: bool, commas: list[str], points: list[str], delimiter: str) -> str:
    """Why commas are decimal in an unclear column; empty where they are not."""
    if commas and not points:
        return f"as in column {commas[0]}"
    alone = delimiter == ";" and not (dotted or commas or points)
    return "as semicolons separate the fields" if alone else ""
