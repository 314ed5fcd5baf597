"""Dates: ISO, 31.12.2024, 31/12/2024 and 12/31/2024; which of the last two is decided by the whole column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_OTHER = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_DOTS, _DAY_FIRST, _MONTH_FIRST = "date 31.12.2024", "date 31/12/2024", "date 12/31/2024"


def is_date_like(value: str) -> bool:
    """Whether a value has the shape of a date, whatever its day and month are."""
    return bool(_ISO.fullmatch(value) or _OTHER.fullmatch(value))


def date_format(values: Iterable[str]) -> str | None:
    """The only format that all these values have; None where there is none, or two say different days."""
    known = list(values)
    fitting = [form for form, parse in DATES.items() if all(parse(value) is not None for value in known)]
    return fitting[0] if len(fitting) == 1 else None


def written_otherwise(values: Iterable[str]) -> tuple[str, str] | None:
    """The first value, and the first that no format has in common with it; None where there is none."""
    first, *rest = values
    own = [parse for parse in DATES.values() if parse(first) is not None]
    other = next((value for value in rest if all(parse(value) is None for parse in own)), None)
    return None if other is None else (first, other)


def _iso(value: str) -> np.datetime64 | None:
    if not _ISO.fullmatch(value):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(found.replace(microsecond=0), "s")


def _written(marks: str, day: int, month: int) -> Callable[[str], np.datetime64 | None]:
    """A reader of dates with these marks, whose day and month are these groups of the pattern."""

    def read(value: str) -> np.datetime64 | None:
        found = _OTHER.fullmatch(value)
        if found is None or found[2] not in marks:
            return None
        hour, minute, second = (int(part or 0) for part in found.group(5, 6, 7))
        try:
            moment = datetime(int(found[4]), int(found[month]), int(found[day]), hour, minute, second)
        except ValueError:
            return None
        return np.datetime64(moment, "s")

    return read


DATES: dict[str, Callable[[str], np.datetime64 | None]] = {
    "date": _iso,
    _DOTS: _written(".", 1, 3),
    _DAY_FIRST: _written("/-", 1, 3),
    _MONTH_FIRST: _written("/-", 3, 1),
}
"""Format -> a reader that gives None for what is not written in it."""
