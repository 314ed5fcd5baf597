"""Tables of how far each method's probabilities, or intervals of real values, are to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from metatl import text

Row = Mapping[str, Any]


class SureTable(NamedTuple):
    """title; key: of what a row says; head: of its columns; note: what they are; cells: of a row's saying."""

    title: str
    key: str
    head: list[str]
    note: str
    cells: Callable[[Mapping[str, Any]], list[str]]


def _classes(said: Mapping[str, Any]) -> list[str]:
    nll = [f"{value:.3f}" for value in said["log_loss"]]
    errors = [f"{100 * value:.2f}" for name in ("ece", "ece_task") for value in said[name]]
    return [*nll, *errors, f"{said['temperature']:.3g}"]


def _values(said: Mapping[str, Any]) -> list[str]:
    nll, width = ([f"{value:.4g}" for value in said[name]] for name in ("nll", "interval_score"))
    share = [f"{100 * value:.1f}" for value in said["coverage"]]
    return [*nll, *share, *width, f"{said['scale']:.3g}"]


TABLES = (
    SureTable(
        "Calibration",
        "calibration",
        ["method", "NLL", "at T", "ECE", "at T", "ECE a task", "at T", "T"],
        "NLL: mean of -log p of the label, nats a query row. ECE: calibration error in percent, 15 bins, "
        "over all episodes' rows; a task: mean of every episode's own, which is larger as its bins hold few "
        "rows. At T: outputs over the temperature of least NLL on meta-val.",
        _classes,
    ),
    SureTable(
        "Intervals",
        "intervals",
        ["method", "NLL", "at s", "coverage, %", "at s", "interval score", "at s", "s"],
        "NLL: mean of -log density of the target, nats a value. Coverage: of the targets by their 95 % "
        "intervals. Interval score: their width and 40 times what lies outside (lower is better). At s: "
        "variances times the factor of least NLL on meta-val.",
        _values,
    ),
)


def calibrated_cells(rows: Sequence[Row], table: SureTable = TABLES[0]) -> list[list[str]]:
    """The cells of the methods that say it, in their order; none where no method does."""
    return [[str(row["method"]), *table.cells(row[table.key])] for row in rows if row.get(table.key)]


def calibrated_tables(rows: Sequence[Row]) -> list[tuple[SureTable, list[list[str]]]]:
    """The tables that any method has something to say in, with their cells."""
    return [(table, cells) for table in TABLES if (cells := calibrated_cells(rows, table))]


def calibrated_markdown(rows: Sequence[Row]) -> str:
    """Sections of table.md; nothing where no method says any."""
    found = ""
    for table, body in calibrated_tables(text.each(rows, text.markdown)):
        lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *body]
        whole = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        found += f"\n## {table.title}\n\n{whole}\n\n- {table.note}\n"
    return found


def calibrated_console(rows: Sequence[Row]) -> str:
    """The same as plain text."""
    found = ""
    for table, body in calibrated_tables(text.each(rows, text.terminal)):
        lines = [table.head, *body]
        widths = [max(len(line[i]) for line in lines) for i in range(len(table.head))]
        padded = [
            [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
            for line in lines
        ]
        found += "\n" + "\n".join("  ".join(line).rstrip() for line in padded) + "\n"
    return found
