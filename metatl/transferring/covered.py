"""How many real targets lie in the intervals of the rows that say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SAID = (
    "Coverage: percent of the targets that judge within their 95 % intervals, which should be 95; in "
    "brackets the interval score, their width and 40 times what lies outside (lower is better)."
)


def covered(rows: Sequence[Mapping[str, Any]], labels: Sequence[Any], headings: Sequence[str]) -> list[str]:
    """A sentence and a Markdown table of the rows with intervals; nothing where no row says any."""
    at = {
        (row["method"], row["labelled"]): row["also"]
        for row in rows
        if (row.get("also") or {}).get("coverage") is not None
    }
    names = dict.fromkeys(name for name, _ in at)
    lines = [["method", *headings], ["---", *["--:"] * len(headings)]]
    lines += [[name, *(_cell(at.get((name, k))) for k in labels)] for name in names]
    return [SAID, "\n".join(f"| {' | '.join(line)} |" for line in lines)] if names else []


def _cell(also: Mapping[str, Any] | None) -> str:
    if also is None:
        return ""
    return f"{100 * also['coverage']:.1f} ({also['interval score']:.4g})"
