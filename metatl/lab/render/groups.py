"""Tables of people, hospitals or whatever the tasks are: a row a method, then a row a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metatl import text
from metatl.lab.render.tables import plus_minus

Row = Mapping[str, Any]
MOST = 200
"""Groups that a table shows one by one; report.json has all."""


def groups_markdown(rows: Sequence[Row], floor: str) -> str:
    """The rows of `compare.by_group` as two tables, with what their columns mean.

    floor: the method that says who is harmed.
    """
    rows = text.each(rows, text.markdown)
    head, body, names, each = groups_cells(rows)
    whole, single = _table(head, body), _table(names, each[:MOST])
    said = (
        "- A group's score is the mean over its episodes; ± is the 95 % interval over groups, which are the "
        "independent units.\n- Worst tenth: mean of the worst tenth of the groups. Harmed: groups that score "
        f"worse than under {floor}.\n"
    )
    return f"## By group\n\n{whole}\n\n{said}\n{single}\n"


def groups_console(rows: Sequence[Row]) -> str:
    """The first of these tables as plain text."""
    head, body = _summary(text.each(rows, text.terminal))
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in [head, *body]]
    return "\n".join("  ".join(line).rstrip() for line in lines) + "\n"


def groups_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]], list[str], list[list[str]]]:
    """Headings and cells of both tables, as plain text of no form."""
    names = list(rows[0]["by_group"])
    each = [[name, *(f"{row['by_group'][name]:.2f}" for row in rows)] for name in names]
    return *_summary(rows), ["group", *(str(row["method"]) for row in rows)], each


def _summary(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    name = list(rows[0])[1]
    head = ["method", f"{name} over {rows[0]['groups']} groups", "worst tenth", "harmed"]
    body = [
        [
            str(row["method"]),
            plus_minus(row[name], row["ci95"]),
            f"{row['worst_tenth']:.2f}",
            _named(row["harmed"]),
        ]
        for row in rows
    ]
    return head, body


def _named(harmed: Sequence[str], most: int = 8) -> str:
    """How many, and who."""
    if not harmed:
        return "nobody"
    more = f" and {len(harmed) - most} more" if len(harmed) > most else ""
    return f"{len(harmed)}: {', '.join(harmed[:most])}{more}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rule = ["-" * max(3, len(cell)) for cell in head]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])
