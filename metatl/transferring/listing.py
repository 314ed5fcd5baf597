"""What there is to transfer by: every row of the table with its family, source and one line."""

from __future__ import annotations

from typing import Any, cast

from metatl.lab.describe import describe
from metatl.text import say
from metatl.transferring.rows import files, rows, said


def listing() -> list[dict[str, Any]]:
    """What `metatl methods` says of every row."""
    return [
        {
            "method": name,
            "family": row.family,
            "about": row.about,
            "formula": row.formula,
            "source": row.source,
            "moves": row.moves,
            "needs_source": row.needs_source,
            "needs_teacher": row.teacher is not None,
            "usual": row.usual,
            "select": cast(dict[str, Any], describe(row.select) or {}),
        }
        for name, row in rows().items()
    ]


def say_listing() -> None:
    """A line for every row, and two more with its formula and source."""
    listed = sorted(((name, said(path)) for name, path in files().items()), key=lambda one: one[1]["order"])
    width = max(len(name) for name, _ in listed)
    for method, row in listed:
        moves = "body moves" if row["moves"] == "body" else "head only"
        name = method if row["usual"] else f"{method} *"
        say(f"{name:<{width + 2}}  {moves:<10}  {row['about']}")
        for told in (row["formula"], row["source"]):
            say(f"{'':<{width + 16}}{told}")
    say("* where it is named: --methods NAME,NAME, or --methods all")
