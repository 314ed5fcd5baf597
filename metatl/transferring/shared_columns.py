"""The columns that a source and a problem both have."""

from __future__ import annotations

from metatl.data.tables import Columns
from metatl.types import MetatlError

UNLIKE = ("dama", "shared-latent")
"""The rows that bring unlike columns together, by labels of both; `cca` does by things with a row in both."""


def shared_columns(source: Columns, problem: Columns) -> list[str]:
    """Names, in the problem's order; MetatlError where there are none."""
    shared = [name for name in problem if name in source]
    if not shared:
        some = ", ".join(list(problem)[:5])
        raise MetatlError(
            f"source: {source.name} has no column of {problem.name}'s ({some}); give a table with "
            f"some of them, or name rows for unlike columns (--methods {','.join(UNLIKE)}; where things have "
            "a row in both, --methods cca --paired COLUMN)"
        )
    return shared
