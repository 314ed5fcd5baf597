"""Which rows of `metatl transfer` are compared on photos, read from the rows themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import study
from tuned_rates import TUNED

from metatl.lab import store
from metatl.transferring.backbone import Backbone
from metatl.transferring.row import Row
from metatl.transferring.rows import rows
from metatl.transferring.summary import summary
from metatl.types import MetatlError

DEFAULTS = "-at-defaults"
"""Behind the name of a row that takes its documented values, and chooses none."""


def serving(net: Backbone, outputs: int) -> tuple[list[str], list[str]]:
    """The rows for photos that need neither source nor teacher: those that serve this net, and the others.

    The others find no layer in it to act on.
    """
    kept, left = list[str](), list[str]()
    for name, row in rows().items():
        photos = row.on == "features" and row.reads == "labels" and row.teacher is None
        if photos and not row.needs_source:
            (kept if moved(net, row, outputs) is not None else left).append(name)
    return kept, left


def moved(net: Backbone, row: Row, outputs: int) -> int | None:
    """How many weights a row moves, what it chooses by labelled rows included; None where it finds none."""
    try:
        return summary(net, row, outputs).moved
    except MetatlError:
        return None


def at_defaults(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Configs of rows that choose nothing, as files there: by the name of the row, the path for commands."""
    found = dict[str, str]()
    for name in names:
        file = folder / f"{name}{DEFAULTS}.yaml"
        store.write_text(file, f"base: {name}\nselect: null\n")
        found[name] = study.shown(file)
    return found


def known(method: str) -> Row:
    """The row that a report's name stands for; one with fixed values moves what the row itself does."""
    return rows([name := method.removesuffix(DEFAULTS).removesuffix(TUNED)])[name]
