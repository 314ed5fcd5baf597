"""Figures of a profile as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]

    def padded(line: Sequence[str]) -> str:
        cells = zip(line, widths, strict=True)
        return "  ".join(c.rjust(width) if i else c.ljust(width) for i, (c, width) in enumerate(cells))

    return "\n".join(padded(line) for line in (head, *lines))


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _how(row: Row) -> str:
    ways = [way for way in ("compiled", "captured") if row.get(way)]
    return f" ({', '.join(ways)})" if ways else ""


def rows_text(rows: Sequence[Row]) -> str:
    """Engines of one variant, a line each."""
    head = ("engine", "tasks/s", "x learn2learn", "of the limit", "MiB above idle")
    lines = [
        (
            row["engine"] + _how(row),
            f"{row['tasks_per_second']:.1f}",
            _number(row["ratio_to_learn2learn"], ".2f"),
            f"{100 * row['share_of_limit']:.1f} %",
            _number(row["peak_mib"], ".0f"),
        )
        for row in rows
    ]
    return _table(head, lines)


def beside_text(measures: Sequence[Row]) -> str:
    """Everything but meta-training, a line each."""
    return "\n".join(
        measure["name"]
        + ": "
        + ", ".join(f"{key} {value}" for key, value in measure.items() if key != "name")
        for measure in measures
    )
