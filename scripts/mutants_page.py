"""The page of `results/mutants`: counts by room, and every mutant that lived, with what is said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SAID = Path(__file__).resolve().parent.parent / "results" / "mutants" / "said.json"
"""What a person found of those that lived: `file:what it was:what it became` to a sentence."""
HEAD = """# Mutants of the core

One small change at a time (a sign, a comparison, a number, a forgotten operand), and whether a test
notices it. Written by `make mutants` (`scripts/mutants.py`); rows: [rows.jsonl](rows.jsonl). Places are
drawn at random, and one change at each; it meets the tests that name its file most often and those of
its room, for a few seconds of processor time, so that a mutant that lives may still be noticed by the
whole suite. It is noticed where a test fails that passes without it, and where one never ends.

"""


def key(row: Mapping[str, Any]) -> str:
    return f"{row['file']}: {row['old']} -> {row['new']}"


def page(rows: Sequence[Mapping[str, Any]], said: Mapping[str, str] | None = None) -> str:
    """The page of rows: a table by room, then those that lived."""
    if said is None:
        said = json.loads(SAID.read_text(encoding="utf-8")) if SAID.exists() else {}
    lines = ["| room | mutants | noticed | equal in effect | live |", "|---|---|---|---|---|"]
    for room in [*sorted({row["room"] for row in rows}), "all"]:
        of = [row for row in rows if room in ("all", row["room"])]
        lived = [row for row in of if row["ended"] == "lived"]
        equal = [row for row in lived if said.get(key(row), "").startswith("equal")]
        noticed = len(of) - len(lived)
        lines.append(f"| {room} | {len(of)} | {noticed} | {len(equal)} | {len(lived) - len(equal)} |")
    lived = [row for row in rows if row["ended"] == "lived"]
    lines += [
        "",
        "## Those that lived",
        "",
        "| where | was | became | what is to be said |",
        "|---|---|---|---|",
    ]
    for row in sorted(lived, key=lambda row: (row["file"], row["line"])):
        cells = (f"{row['file'].removeprefix('metatl/')}:{row['line']}", f"`{row['old']}`", f"`{row['new']}`")
        cells = (*(cell.replace("|", "\\|") for cell in cells), said.get(key(row), "not looked at yet"))
        lines.append("| " + " | ".join(cells) + " |")
    return HEAD + "\n".join(lines) + "\n"
