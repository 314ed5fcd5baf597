"""Rows of a source and of the data that are of the same things: which they are, and which rows read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metatl.data.examples import Index
from metatl.transferring.problem import Problem
from metatl.transferring.rows import Row
from metatl.transferring.source import SourceRows
from metatl.types import MetatlError

PAIRED = "paired"
"""What adaptations that read pairs name among their streams."""


def with_pairs(
    found: Mapping[str, Row], said: Sequence[str], column: str | None, source: bool, net_to_learn: bool
) -> dict[str, Row]:
    """The rows that have the pairs they need.

    said: rows and words asked for; column: that pairs rows, if any; net_to_learn: whether rows that read no
    source in every fit start from a net that is learned on it. Raises MetatlError for a row asked for by name
    that lacks pairs, and beside pairs for what learns on the source once and for all: it would know the
    labels of things that judge.
    """
    reading = [name for name, row in found.items() if PAIRED in row.adaptation.streams]
    if column is None:
        if asked_for := [name for name in reading if name in said]:
            raise MetatlError(
                f"method {asked_for[0]!r} reads rows of both domains that are of the same things; name the "
                "column that calls these alike in both (--paired id, say)"
            )
        return {name: row for name, row in found.items() if name not in reading}
    if not source:
        raise MetatlError("--paired pairs rows of a source with those of the data; give it with --source")
    once = [name for name, row in found.items() if row.learner is not None]
    net = net_to_learn and (not said or any(not found[n].adaptation.streams for n in said if n in found))
    if net or (once and {*once, "usual"} & {*said}):
        raise MetatlError(
            "--paired: what is learned on the source once would know the labels of things that judge; name "
            "rows that read it in every fit (--methods domains, say)"
        )
    return {name: row for name, row in found.items() if name not in once}


def places_of(source: SourceRows, problem: Problem) -> Index | None:
    """[n]: of every row of the source the place of the problem's that is of the same thing, -1 for none.

    None where no column pairs them. Raises MetatlError for a thing with two rows on one side, and for fewer
    than two pairs with rows that may be labelled.
    """
    if source.pair is None or problem.pair is None:
        return None
    theirs, ours = _named(source.pair, source.name), _named(problem.pair, problem.name)
    places = np.full(len(source.inputs), -1, np.int64)
    for name in theirs.keys() & ours.keys():
        places[theirs[name]] = ours[name]
    if np.isin(places, problem.task.pool).sum() < 2:
        both = int((places >= 0).sum())
        raise MetatlError(
            f"--paired: {both} things have a row in {source.name} and in {problem.name}, fewer than two of "
            "which are not kept to judge; give more, or a column that calls things alike in both"
        )
    return places


def _named(pair: Any, whose: str) -> dict[str, int]:
    """The place of every thing; MetatlError for one with two."""
    found = dict[str, int]()
    for place, name in enumerate(pair.tolist()):
        if name in found:
            raise MetatlError(f"--paired: {whose} has two rows of {name!r}; give every thing one row a side")
        if name:
            found[name] = place
    return found
