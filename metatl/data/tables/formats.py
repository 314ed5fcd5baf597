"""How the values of a column are written: text to numbers, booleans, dates or categories.

A column has one format. Without a given one it is the first of these that all its values have, missing ones
aside: `boolean no/yes`, `boolean false/true`; `number`, as 1234.5; `number 1,234.5`, where every comma is
followed by three digits; `number 1.234,5`, where commas are decimal; `date` (ISO), `date 31.12.2024`,
`date 31/12/2024`, `date 12/31/2024` (see `dates`). All else is `category`. Codes with leading zeros (007) are
categories. `text` is left exactly as it is, and `missing` is a column without a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metatl.data.tables.columns import Array
from metatl.data.tables.dates import DATES, date_format, is_date_like, written_otherwise
from metatl.types import MetatlError

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "-", "?"})
"""What a missing value is written as, in any case of letters; `-` only where the column has no `+`."""
PAIRS = (("no", "yes"), ("false", "true"))
_CODE = re.compile(r"[+-]?0\d+")
_PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
NUMBERS = {
    "number": (re.compile(_PLAIN), ""),
    "number 1,234.5": (re.compile(rf"[+-]?[1-9]\d{{0,2}}(,\d{{3}})+(\.\d*)?|{_PLAIN}"), ","),
    "number 1.234,5": (
        re.compile(r"[+-]?(?=,?\d)([1-9]\d{0,2}([. ']\d{3})+|\d*)(,\d+)?([eE][+-]?\d+)?"),
        ". '",
    ),
}
"""Format -> what a number matches, and the marks between thousands."""
_NEARLY = 0.9
_UNIT = re.compile(r"([€$£]?) ?[+-]?[\d.,]*\d ?([^\d\s.,]*)")
"""A number with a currency in front of it, or a unit after it."""


class Typed(NamedTuple):
    """A column's values [n], their format, and a sentence where something was decided."""

    array: Array
    format: str
    note: str = ""


def typed(
    values: Sequence[str | None], name: str, where: Callable[[int], str], given: str | None = None
) -> Typed:
    """The values of a column of text.

    given: the format that they must have. where: file and line of a row. Raises MetatlError, with file and
    line, for the first value that is not written in the given format.
    """
    if given == "text":
        return Typed(_objects(["" if value is None else value for value in values]), given)
    read = stripped(values)
    known = {value for value in read if value is not None}
    form, note = (given, "") if given not in (None, "missing") else _inferred(known, name, read, where)
    if form == "missing":
        return Typed(np.full(len(read), np.nan), form)
    if form == "category":
        return Typed(_objects(read), form, note)
    parsed = {value: parse(value, form) for value in known}
    bad = next((i for i, v in enumerate(read) if v is not None and parsed[v] is None), None)
    if bad is not None:
        raise MetatlError(
            f"{where(bad)}: {name} is {read[bad]!r}, and its column holds {_called(form)}; write it alike, "
            "or leave the field empty"
        )
    return Typed(_array([None if v is None else parsed[v] for v in read], form), form, note)


def stripped(values: Sequence[str | None]) -> list[str | None]:
    """The values without blanks around them; None for missing ones."""
    bare = [None if value is None else value.strip() for value in values]
    sign = "+" in bare
    return [None if v is None or (v.lower() in MISSING and not (sign and v == "-")) else v for v in bare]


def check(formats: Mapping[str, str]) -> None:
    """Raise MetatlError for what is no format of a column."""
    for name, form in formats.items():
        front, _, rest = form.partition(" ")
        pair = front == "boolean" and rest.count("/") == 1
        if not pair and form not in (*NUMBERS, *DATES, "category", "text", "missing"):
            raise MetatlError(f"column {name!r} has the format {form[:40]!r}, which is none")


def parse(value: str, form: str) -> Any:
    """One value: float, bool or datetime64; None where it is not written in this format.

    A column of booleans takes the words of every pair: what Python holds, a file may write in either way.
    """
    front = form.partition(" ")[0]
    if front == "boolean":
        own = tuple(word.lower() for word in form.split(" ", 1)[1].split("/"))
        pair = next((pair for pair in (own, *PAIRS) if value.lower() in pair), None)
        return None if pair is None else pair.index(value.lower()) == 1
    if front == "date":
        return DATES[form](value)
    return _number(value, form)


def _number(value: str, form: str) -> float | None:
    pattern, thousands = NUMBERS[form]
    if not pattern.fullmatch(value) or not any(map(str.isdigit, value)) or not value.isascii():
        return None
    for mark in thousands:
        value = value.replace(mark, "")
    found = float(value.replace(",", "."))
    return found if abs(found) != float("inf") else None


def _inferred(
    known: set[str], name: str, read: Sequence[str | None], where: Callable[[int], str]
) -> tuple[str, str]:
    """Format, and a sentence where there was something to decide."""
    if not known:
        return "missing", ""
    if pair := _pair(known):
        return f"boolean {pair}", ""
    if any(_CODE.fullmatch(value) for value in known):
        return "category", ""
    for form in NUMBERS:
        if all(_number(value, form) is not None for value in known):
            return form, _told(form, name)
    if all(map(is_date_like, known)):
        form = date_format(known)
        return (form, "") if form else ("category", _unclear(name, read, where))
    units = {found.groups() if (found := _UNIT.fullmatch(value)) else None for value in known}
    if len(units) == 1 < len(known) and units.isdisjoint({None, ("", "")}):
        first = next(i for i, value in enumerate(read) if value is not None)
        return "category", (
            f"column {name} is read as categories: {read[first]!r} ({where(first)}) is a number with a unit; "
            "leave the unit out to have numbers"
        )
    odd = [value for value in known if _number(value, "number") is None]
    if len(known) >= 10 and len(odd) <= (1 - _NEARLY) * len(known):
        first = next(i for i, value in enumerate(read) if value in odd)
        return "category", (
            f"column {name} is read as categories: {read[first]!r} ({where(first)}) is no number; leave it "
            "empty to have numbers"
        )
    return "category", ""


def _pair(known: set[str]) -> str | None:
    """No and yes as they are written first; None for other words."""
    for pair in PAIRS:
        if {value.lower() for value in known} <= {*pair}:
            spelt = {value.lower(): value for value in sorted(known, reverse=True)}
            return "/".join(spelt.get(word, word) for word in pair)
    return None


def _told(form: str, name: str) -> str:
    if form == "number 1,234.5":
        return f"column {name}: commas separate thousands (1,234 is 1234)"
    return f"column {name}: commas are decimal (1,5 is 1.5)" if form == "number 1.234,5" else ""


def _unclear(name: str, read: Sequence[str | None], where: Callable[[int], str]) -> str:
    first = next(i for i, value in enumerate(read) if value is not None)
    if apart := written_otherwise(value for value in read if value is not None):
        one, other = (f"{value!r} ({where(read.index(value))})" for value in apart)
        return (
            f"column {name} is read as categories: {one} and {other} are dates written in different ways; "
            "write dates as 2024-12-31"
        )
    return (
        f"column {name} is read as categories: day and month of {read[first]!r} ({where(first)}) cannot be "
        "told apart; write dates as 2024-12-31"
    )


def _called(form: str) -> str:
    front, _, example = form.partition(" ")
    plural = {"boolean": "booleans", "number": "numbers", "date": "dates"}[front]
    return f"{plural} ({example or {'date': '2024-12-31', 'number': '1234.5'}[front]})"


def _array(values: list[Any], form: str) -> Array:
    if form.startswith("date"):
        blank = np.datetime64("NaT", "s")
        return np.array([blank if value is None else value for value in values], "datetime64[s]")
    if form.startswith("boolean") and None not in values:
        return np.array(values, np.bool_)
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def _objects(values: Sequence[str | None]) -> Array:
    found = np.empty(len(values), object)
    found[:] = values
    return found
