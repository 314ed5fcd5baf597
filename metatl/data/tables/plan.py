"""What becomes of each column of a table: decided on the rows that an encoder is fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from metatl.data.tables.columns import Array, Columns, as_text, missing
from metatl.types import MetatlError

Use = Literal["number", "date", "boolean", "category"]
PARTS = ("year", "month", "weekday", "days")
"""What a date becomes: year, month 1 to 12, day of the week from Monday 0, days since the earliest."""
DIFFERS = "nearly every value differs"
_TEXT_LIKE, _TEXT_ROWS = 0.9, 20
_NAMED = 6
LARGEST = 1e150
"""The largest number of a column: squares of larger ones are infinite."""


@dataclass(frozen=True)
class Plan:
    """Columns by their use, in the table's order; left_out: the others, each with the reason."""

    uses: Mapping[str, Use]
    left_out: Mapping[str, str]

    def of(self, use: Use) -> tuple[str, ...]:
        """The columns with this use."""
        return tuple(name for name, own in self.uses.items() if own == use)


def planned(columns: Columns) -> Plan:
    """The use of every column, by its type and, for what is left out, its values.

    Left out are columns of sentences, without a value, with one value in every row, and of strings of which
    at least 90 % differ, in 20 rows or more.
    """
    reasons = {name: _why_not(columns, name) for name in columns}
    uses: dict[str, Use] = {name: _use(columns, name) for name, why in reasons.items() if why is None}
    return Plan(uses, {name: why for name, why in reasons.items() if why is not None})


def of_use(columns: Columns) -> Plan:
    """`planned`; MetatlError where no column is of use."""
    plan = planned(columns)
    if not plan.uses:
        said = "; ".join(f"{name}: {why}" for name, why in list(plan.left_out.items())[:_NAMED])
        hint = "; if one holds sentences, name it (--text)" if DIFFERS in plan.left_out.values() else ""
        raise MetatlError(f"{columns.name}: no column tells its {columns.rows} rows apart ({said}){hint}")
    return plan


def without_part(columns: Columns) -> tuple[str, ...]:
    """A sentence on the columns that become no input of a model that is fitted to all of these rows.

    Raises MetatlError where that is all of them.
    """
    left = of_use(columns).left_out
    said = [f"{name} ({why})" for name, why in left.items()]
    more = f" and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    told = f"columns that play no part where all rows are labelled: {', '.join(said[:_NAMED])}{more}"
    return (told,) if left else ()


def _use(columns: Columns, name: str) -> Use:
    if columns.formats.get(name, "").startswith("boolean"):  # numbers, where some are missing
        return "boolean"
    uses: dict[str, Use] = {"f": "number", "M": "date", "b": "boolean", "O": "category"}
    return uses[columns[name].dtype.kind]


def _why_not(columns: Columns, name: str) -> str | None:
    values = columns[name]
    if columns.formats.get(name) == "text":
        return "text"
    blank = missing(values)
    there = values[~blank]
    if not len(there):
        return "no value"
    different = len({*there.tolist()})
    if different == 1 and len(there) == len(values):
        return "the same value in every row"
    if values.dtype.kind == "O" and len(there) >= _TEXT_ROWS and different >= _TEXT_LIKE * len(there):
        return DIFFERS
    return None


def numbers(columns: Columns, plan: Plan, earliest: Mapping[str, str]) -> Array:
    """[n, d] float64, NaN where missing: numbers, then four parts of each date (see PARTS)."""
    found = [as_numbers(columns, name) for name in plan.of("number")]
    for name in plan.of("date"):
        found += _parts(as_dates(columns, name), np.datetime64(earliest[name], "s"))
    return np.stack(found, 1) if found else np.zeros((columns.rows, 0))


def booleans(columns: Columns, plan: Plan) -> Array:
    """[n, b] float64: 0, 1, and NaN where missing."""
    found = [as_booleans(columns, name) for name in plan.of("boolean")]
    return np.stack(found, 1) if found else np.zeros((columns.rows, 0))


def as_numbers(columns: Columns, name: str) -> Array:
    """A column of numbers; MetatlError where it is of another type now."""
    values = columns[name]
    if values.dtype.kind != "f" and not missing(values).all():
        raise changed(columns, name, "numbers")
    if values.dtype.kind != "f":
        return np.full(len(values), np.nan)
    large = np.flatnonzero(np.abs(values) > LARGEST)
    if len(large):
        raise MetatlError(
            f"{columns.name}: column {name} holds {values[large[0]]:g} ({columns.where(int(large[0]))}), too "
            "large to be squared; give it in a larger unit, or leave the column out"
        )
    return values


def as_booleans(columns: Columns, name: str) -> Array:
    """A column of booleans as numbers; 0 and 1 are booleans too."""
    values = columns[name]
    if values.dtype.kind not in "bf" or not np.isin(values[~missing(values)], (0, 1)).all():
        if not missing(values).all():
            raise changed(columns, name, "booleans")
        return np.full(len(values), np.nan)
    return values.astype(np.float64)


def as_dates(columns: Columns, name: str) -> Array:
    """A column of dates."""
    values = columns[name]
    if values.dtype.kind != "M" and not missing(values).all():
        raise changed(columns, name, "dates")
    return values if values.dtype.kind == "M" else np.full(len(values), "NaT", "datetime64[s]")


def as_categories(columns: Columns, name: str, known: set[str | None]) -> list[str | None]:
    """A column of strings; others count as strings if each of them, written out, is a known one."""
    values = columns[name]
    texts: list[str | None] = as_text(values)
    form = columns.formats.get(name, "")
    if values.dtype.kind == "b" and form.startswith("boolean "):
        no, _, yes = form.removeprefix("boolean ").partition("/")
        texts = [yes if value else no for value in values.tolist()]  # as the file spells them
    if values.dtype.kind != "O" and any(text is not None and text not in known for text in texts):
        raise changed(columns, name, "categories")
    return texts


def changed(columns: Columns, name: str, was: str) -> MetatlError:
    """A column whose type is not that of the rows that the encoder was fitted to."""
    row = int(np.flatnonzero(~missing(columns[name]))[0])
    value: Any = as_text(columns[name])[row]
    return MetatlError(
        f"{columns.where(row)}: {name} is {value!r}; this column held {was} where the model was fitted: "
        "write it alike"
    )


def _parts(dates: Array, earliest: np.datetime64) -> list[Array]:
    blank = np.isnat(dates)
    days = dates.astype("datetime64[D]").astype(np.int64)
    months = dates.astype("datetime64[M]").astype(np.int64)
    since = (dates - earliest).astype(np.int64) / 86400
    parts = (1970 + months // 12, months % 12 + 1, (days + 3) % 7, since)
    return [np.where(blank, np.nan, part.astype(np.float64)) for part in parts]
