"""Columns of Python's own values: numbers, booleans and dates are what they are, whatever texts look like."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from metatl.data.tables.formats import NUMBERS, Typed, typed
from metatl.types import MetatlError


def own_format(boolean: bool, given: str | None) -> str:
    """The given format; without one that of booleans, or of numbers."""
    return given if given not in (None, "missing") else "boolean no/yes" if boolean else "number"


def plain(value: Any) -> Any:
    """None for what stands for a missing value; numbers as float, bytes as text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return float(value) if isinstance(value, Real | Decimal) else value


def of_objects(values: list[Any], name: str, where: str, given: str | None) -> Typed:
    """A column of values that are `plain`: of one kind, missing ones aside, else as their texts are read.

    given: the format that texts have. Raises MetatlError, with the row, for a text that is written otherwise.
    """
    kinds = {type(value) for value in values if value is not None}
    bad = next((kind for kind in kinds if not issubclass(kind, str | float | bool | date)), None)
    if bad is not None:
        raise MetatlError(f"{where}: column {name} holds {bad.__name__} values; leave it out")
    form = own_format(kinds == {bool}, given)
    pair = form.startswith("boolean")
    if (kinds == {bool} and pair) or (kinds and kinds <= {float, bool} and form in NUMBERS):
        floats = np.array([np.nan if value is None else float(value) for value in values])
        return Typed(floats.astype(np.bool_) if pair and None not in values else floats, form)
    if kinds and all(issubclass(kind, date) for kind in kinds):
        days = ["NaT" if value is None else value.isoformat()[:19] for value in values]
        return Typed(np.array(days, "datetime64[s]"), "date")

    def row(i: int) -> str:
        return f"{where} row {i + 1}"

    if given in (None, "missing"):  # texts alone say how texts are written
        form = typed([one if isinstance(one, str) else None for one in values], name, row).format
    return typed([written(value, form) for value in values], name, row, given)


def written(value: Any, form: str) -> str | None:
    """The text of a plain value that is read as the same value in a format of numbers or booleans."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        pair = form.removeprefix("boolean ").split("/") if form.startswith("boolean") else ["no", "yes"]
        return pair[value]
    text = repr(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return text.replace(".", ",") if form == "number 1.234,5" else text
