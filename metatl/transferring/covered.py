"""How sure the rows of a table are, and how right they are to be so: coverage, log losses, calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from metatl.adapt.formulas import BINS


class FurtherScore(NamedTuple):
    """A further table: what it says, the score that a row must have, and one after it in brackets."""

    said: str
    score: str
    behind: str | None
    form: Callable[[float], str]


TABLES = (
    FurtherScore(
        "Coverage: percent of the targets that judge within their 95 % intervals, which should be 95; in "
        "brackets the interval score, their width and 40 times what lies outside (lower is better).",
        "coverage",
        "interval score",
        lambda value: f"{100 * value:.1f}",
    ),
    FurtherScore(
        "NLL: minus the mean log density of the targets that judge (lower is better).",
        "NLL",
        None,
        lambda value: f"{value:.4g}",
    ),
    FurtherScore(
        "Log loss: minus the mean log of the probability of what is true (lower is better); in brackets the "
        f"calibration error of classes, of {BINS} bins.",
        "log loss",
        "calibration error",
        lambda value: f"{value:.3f}",
    ),
)


class FurtherTable(NamedTuple):
    """said: a sentence; cells: by method a cell for every number of labels, "" for none."""

    said: str
    cells: dict[str, list[str]]


def told(rows: Sequence[Mapping[str, Any]], labels: Sequence[Any]) -> list[FurtherTable]:
    """The further tables that any row has something to say in."""
    found: list[FurtherTable] = []
    for table in TABLES:
        also = {(row["method"], row["labelled"]): row.get("also") or {} for row in rows}
        names = dict.fromkeys(name for (name, _), held in also.items() if held.get(table.score) is not None)
        if names:
            cells = {name: [_cell(table, also.get((name, k), {})) for k in labels] for name in names}
            found.append(FurtherTable(table.said, cells))
    return found


def covered(rows: Sequence[Mapping[str, Any]], labels: Sequence[Any], headings: Sequence[str]) -> list[str]:
    """For each of them a sentence and a Markdown table; nothing where no row says any."""
    head = [["method", *headings], ["---", *["--:"] * len(headings)]]
    found: list[str] = []
    for table in told(rows, labels):
        lines = [*head, *([name, *cells] for name, cells in table.cells.items())]
        found += [table.said, "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return found


def _cell(table: FurtherScore, also: Mapping[str, Any]) -> str:
    value, behind = also.get(table.score), also.get(table.behind or "")
    if value is None:
        return ""
    return table.form(value) + ("" if behind is None else f" ({behind:.4g})")
