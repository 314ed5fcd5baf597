"""What is to be predicted, taken out of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metatl.data.tables.columns import Array, Columns, as_text, missing
from metatl.data.tables.formats import parse
from metatl.data.targets import MOST, Kind, Targets
from metatl.types import MetatlError

MOST_CLASSES, ROWS_EACH = 20, 5
_ODD = 0.1
"""The share of values of a column of numbers that may be none before it is one of words."""
_UNLIKE = 10.0
"""Of standard deviations: from here on one target has a hundred times the share of another in an MSE."""
_EMPTY = "NA, null, ? and - stand for an empty cell: a class that is called so needs another name"


def target(
    columns: Columns, name: str, several: str | None = None, kind: Kind | None = None
) -> tuple[Targets, Columns]:
    """The targets of the rows that have one, and the other columns of these rows.

    Strings and booleans are classes. Whole numbers are classes where there are at most 20 different ones and,
    if there are more than two, five rows for each on average; other numbers are real. Several columns are
    several labels where all are booleans (or 0 and 1), else real values. A note says what was decided.

    Args:
        columns: the table.
        name: of a column, or of several with commas between them.
        several: what separates labels in a column of lists: `;` in `red;green`.
        kind: what it is, for numbers that would be taken for the other.

    Raises MetatlError where a column is not there (with the nearest names), has no value or always the same
    one, or holds what no target can be.
    """
    names = target_names(columns, name)
    if len({*names}) < len(names):
        raise MetatlError(f"target {name!r} names a column twice")
    held = np.logical_and.reduce([~missing(columns[one]) for one in names])
    if not held.any():
        raise MetatlError(f"{columns.name}: target {name!r} has no value in any row; name another column")
    rows = columns.take(held)
    found, notes = _targets(rows, names, several, kind)
    if left := int((~held).sum()):
        first = columns.where(int(np.flatnonzero(~held)[0]))
        said = f"{left} of {columns.rows} rows have no {' or no '.join(names)}"
        said += f" and are left out ({first} the first)"
        notes = [*notes, said if columns[names[0]].dtype.kind != "O" else f"{said}; {_EMPTY}"]
    _check_varied(found, columns.name, name)
    return found, replace(rows.drop(names), notes=(*rows.notes, *notes))


def target_names(columns: Columns, name: str) -> list[str]:
    """The column of this name, or those that it names with commas; MetatlError for one that is not there."""
    names = [name] if name in columns else [one.strip() for one in name.split(",")]
    columns.require(names)
    return names


def unlabelled(columns: Columns, name: str) -> bool:
    """Whether no column is there that a target of this name, or of several with commas, would be.

    Capitals and blanks aside: a name that differs by these is misspelt.
    """
    there = {one.strip().casefold() for one in columns}
    return not any(one.strip().casefold() in there for one in (name, *name.split(",")))


def class_names(columns: Columns, name: str) -> list[str | None]:
    """What the class of every row is called in a column of classes; None where it is missing."""
    values = columns[name]
    texts = as_text(values)
    distinct = [one for one in dict.fromkeys(texts) if one is not None]
    spelt = dict(zip(distinct, _spelt(distinct, values, columns.formats.get(name, "")), strict=True))
    return [None if one is None else spelt[one] for one in texts]


def _targets(
    rows: Columns, names: Sequence[str], several: str | None, kind: Kind | None
) -> tuple[Targets, list[str]]:
    for name in names:
        if rows[name].dtype.kind == "M":
            raise MetatlError(f"{rows.name}: target {name!r} is a date; give numbers or classes")
    if several is not None:
        if len(names) > 1:
            raise MetatlError(f"lists of labels stand in one column; {', '.join(names)} are {len(names)}")
        return _lists(as_text(rows[names[0]]), several), []
    if len(names) == 1 and kind != "labels":
        return _single(rows, names[0], kind)
    if kind != "real" and all(_is_yes_no(rows[name]) for name in names):
        values = torch.from_numpy(np.stack([rows[name].astype(np.bool_) for name in names], 1))
        return Targets("labels", tuple(names), values), []
    worded = [name for name in names if rows[name].dtype.kind == "O"]
    if worded or kind in ("classes", "labels"):
        raise MetatlError(
            f"{rows.name}: several targets are all numbers or all yes and no; {(worded or list(names))[0]!r} "
            f"holds {'words' if worded else 'other numbers'}"
        )
    values = _real([rows[name] for name in names])
    return Targets("real", tuple(names), values), _unlike(names, values)


def _single(rows: Columns, name: str, kind: Kind | None) -> tuple[Targets, list[str]]:
    values = rows[name]
    if values.dtype.kind == "O" and kind == "real":
        raise MetatlError(f"{rows.name}: {name} is {values[0]!r} ({rows.where(0)}); real targets are numbers")
    if values.dtype.kind == "O" and kind is None:
        _refuse_odd(rows, name)
    distinct = np.unique(values) if values.dtype.kind != "O" else values
    if values.dtype.kind == "f" and kind != "classes":
        whole = bool((values == np.round(values)).all())
        few = len(distinct) <= 2 or ROWS_EACH * len(distinct) <= len(values)
        if kind == "real" or not (whole and few and len(distinct) <= MOST_CLASSES):
            why = "as asked" if kind else f"{len(distinct)} different ones"
            return Targets("real", (name,), _real([values])), [f"target {name} is numbers ({why})"]
    texts = [str(value) for value in as_text(values)]
    found = [str(v) for v in as_text(distinct)] if values.dtype.kind == "f" else sorted({*texts})
    place = {one: i for i, one in enumerate(found)}
    labels = torch.tensor([place[one] for one in texts])
    told = [f"target {name} is classes ({len(found)} different whole numbers)"]
    numbers = values.dtype.kind == "f" and not rows.formats.get(name, "").startswith("boolean")
    told = told if numbers and kind is None else _alike(name, found)
    return Targets("classes", _spelt(found, values, rows.formats.get(name, "")), labels), told


def _refuse_odd(rows: Columns, name: str) -> None:
    """Refuse a column of many different numbers but for a few values that are none."""
    texts = as_text(rows[name])
    odd = [i for i, text in enumerate(texts) if parse(str(text), "number") is None]
    if odd and len(odd) <= _ODD * len(texts) and len({*texts}) > MOST_CLASSES:
        told = f"{texts[odd[0]]!r} ({rows.where(odd[0])}) is no number, as other values of target {name} are"
        raise MetatlError(f"{rows.name}: {told}; correct it, or leave the field empty")


def _unlike(names: Sequence[str], values: Tensor) -> list[str]:
    """A note where the squared errors of one target drown those of another; nothing where none do."""
    spread = values.double().std(0, correction=0)
    wide, narrow = int(spread.argmax()), int(spread.argmin())
    if not spread[wide] > _UNLIKE * spread[narrow]:
        return []
    one, other = names[wide], names[narrow]
    said = (
        f"target {one} varies more than {_UNLIKE:g} times as much as {other}, so that the MSE says next to "
    )
    return [said + f"nothing about {other}; compare it alone, or put both on one scale"]


def _alike(name: str, classes: Sequence[str]) -> list[str]:
    """A note where classes differ in the case of letters and in spaces alone; nothing where none do."""
    spelt = dict[str, list[str]]()
    for one in classes:
        spelt.setdefault("".join(one.split()).casefold(), []).append(one)
    twice = next((some for some in spelt.values() if len(some) > 1), None)
    said = f"target {name} has the classes {' and '.join(map(repr, twice or []))}, which differ in case or "
    return [said + "spaces alone; write them alike if they are one"] if twice else []


def _spelt(names: list[str], values: Array, form: str) -> tuple[str, ...]:
    """Booleans as the file writes them, `no/yes` say; they are numbers where rows have none."""
    if values.dtype.kind not in "bf" or not form.startswith("boolean "):
        return tuple(names)
    no, _, yes = form.removeprefix("boolean ").partition("/")
    return tuple({"false": no, "true": yes, "0": no, "1": yes}[name] for name in names)


def _lists(texts: Sequence[str | None], mark: str) -> Targets:
    held = [{one.strip() for one in str(text).split(mark)} - {""} for text in texts]
    names = sorted(set().union(*held))
    values = torch.tensor([[name in labels for name in names] for labels in held])
    return Targets("labels", tuple(names), values)


def _is_yes_no(values: Array) -> bool:
    return values.dtype.kind == "b" or (values.dtype.kind == "f" and bool(np.isin(values, (0.0, 1.0)).all()))


def _real(columns: Sequence[Array]) -> Tensor:
    return torch.from_numpy(np.stack([values.astype(np.float64) for values in columns], 1))


def _check_varied(found: Targets, where: str, name: str) -> None:
    """Refuse targets from which nothing can be learned."""
    same = bool((found.values == found.values[:1]).all())
    if same and len(found.values):
        said = {
            "classes": f"one class only, {found.names[0]!r}",
            "labels": "the same labels in every row",
            "real": f"the same value in every row, {found.values[0].tolist()}",
        }[found.kind]
        raise MetatlError(f"{where}: target {name!r} has {said}; there is nothing to learn")
    if found.kind == "real" and not bool((found.values.abs() <= MOST).all()):
        raise MetatlError(f"{where}: target {name!r} has a value beyond 3e38; scale it down")
