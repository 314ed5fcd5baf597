"""The rows that run where none are named, and those of them that have something to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metatl.data.examples import Examples
from metatl.transferring.rows import DOMAINS, USUAL, Row
from metatl.types import MetatlError


def unnamed(counts: Sequence[int | None], source: Examples | None, problem: Examples) -> list[str]:
    """The usual rows; for 0 labels, beside a source of the same targets, those of two domains too."""
    return [USUAL, DOMAINS] if 0 in counts and source is not None and _alike(source, problem) else [USUAL]


def _alike(source: Examples, problem: Examples) -> bool:
    """Whether rows that read both domains can read these: two classes or real values, and columns of both."""
    theirs, ours = source.targets, problem.targets
    if not theirs.known or theirs.kind != ours.kind:
        return False
    shared = {*theirs.names} & {*ours.names}
    one, other = problem.inputs.columns, source.inputs.columns
    columns = one is None or other is None or any(name in other for name in one)
    return columns and (len(shared) > 1 if ours.kind == "classes" else theirs.names == ours.names)


def serving(
    found: Mapping[str, Row], named: Sequence[str], counts: Sequence[int | None], save: str | None
) -> tuple[dict[str, Row], list[str]]:
    """The rows that are fitted with any of these numbers of labels, and a note on those asked for by name.

    Raises MetatlError where the one whose model is to be kept is none of them.
    """
    kept = {name: row for name, row in found.items() if any(row.serves(k) for k in counts)}
    lost = [name for name in named if name in found and name not in kept]
    if save in lost:
        raise MetatlError(f"save: {save!r} needs labels, and 0 are asked for; give more (--labelled 0,5)")
    return kept, [f"Left out, as they need labels: {', '.join(lost)}."] if lost else []
