"""The source's labelled rows beside the problem's own: in the same numbers, with the same targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Index
from metatl.data.tables import Columns, Encoder
from metatl.transferring.backbone import Backbone
from metatl.transferring.features import Computed, Features, features, readable
from metatl.transferring.prepared import prepared_rows
from metatl.transferring.problem import Problem
from metatl.transferring.rows import Row
from metatl.transferring.shared_columns import shared_columns
from metatl.transferring.source import SourceRows
from metatl.types import Batch, MetatlError


@dataclass(frozen=True)
class SeenBeside:
    """Features of both domains alike: of the source's rows [n, d], and of every row of the problem.

    encoder: of columns, where they are columns.
    """

    source: Tensor
    problem: Features
    encoder: Encoder | None = None


@dataclass(frozen=True)
class Beside:
    """What rows that read the source see of it.

    seen: by what such a row reads (`reads_on`); y [n]: targets in the problem's numbers of
    classes; notes: on what is left out, and on classes that the source does not know.
    """

    seen: Mapping[str, SeenBeside]
    y: Tensor
    notes: tuple[str, ...]

    def rows(self, on: str, inside: Index) -> tuple[Batch, Tensor]:
        """The source's rows, and these of the problem without labels, as a row of the table reads them."""
        seen = self.seen[on]
        return Batch(seen.source, self.y), seen.problem.of(inside, inside)


def reads_on(row: Row, problem: Problem) -> str:
    """`inputs`, `own inputs` of either domain, or `features`: what the row reads of such a problem."""
    if row.adaptation.unlike and problem.encoded is not None:
        return "own inputs"
    if row.on == "either":
        return "features" if problem.encoded is None else "inputs"
    return row.on


def beside(
    rows: Mapping[str, Row], source: SourceRows | None, problem: Problem, net: Backbone
) -> Beside | None:
    """What rows that read the source see of it; None where none does.

    Raises MetatlError for targets of another kind, without a class or a column that both have, and for a
    source of one class.
    """
    reading = {reads_on(row, problem) for row in rows.values() if row.adaptation.streams}
    if not reading or source is None:
        return None
    y, notes = _targets(source, problem)
    kept = np.flatnonzero(np.array([label is not None for label in y]))
    seen = {on: _seen(on, source, problem, net) for on in sorted(reading)}
    lost = {i for one in seen.values() for i in np.flatnonzero(~one.source.isfinite().all(1).numpy())}
    kept = np.array([i for i in kept if i not in lost], np.int64)
    if lost:
        notes.append(f"Left out of the source: {len(lost)} {source.inputs.unit}s that cannot be read.")
    at = torch.from_numpy(kept)
    some = {on: SeenBeside(one.source[at], one.problem, one.encoder) for on, one in seen.items()}
    return Beside(some, torch.stack([cast(Tensor, y[i]) for i in kept]), (*notes, *_few(some, problem)))


def _targets(source: SourceRows, problem: Problem) -> tuple[list[Tensor | None], list[str]]:
    """Of every row of the source its target as the problem numbers them, None for a class of its own."""
    theirs, ours = source.targets, problem.targets
    if theirs.kind != ours.kind or (ours.kind != "classes" and theirs.names != ours.names):
        raise MetatlError(
            f"source: its targets are {theirs.kind} ({', '.join(theirs.names[:5])}), and those of the data "
            f"{ours.kind} ({', '.join(ours.names[:5])}); rows that read both need the same ones"
        )
    if ours.kind != "classes":
        return list(theirs.values), []
    number = {name: i for i, name in enumerate(ours.names)}
    known = [number.get(name) for name in theirs.names]
    shared = [name for name in theirs.names if name in number]
    if len(shared) < 2:
        raise MetatlError(
            f"source: of the data's classes it has {', '.join(shared) or 'none'}; rows that read both "
            "domains need two or more classes that both have, by the same names"
        )
    notes = list[str]()
    if extra := [name for name in theirs.names if name not in number]:
        notes.append(f"Classes of the source alone, left out by rows that read both: {', '.join(extra)}.")
    if unseen := [name for name in ours.names if name not in shared]:
        notes.append(f"The source never saw {', '.join(unseen)}: without labels no row names them.")
    of = [None if one is None else torch.tensor(one) for one in known]
    return [of[int(label)] for label in theirs.values], notes


def _seen(on: str, source: SourceRows, problem: Problem, net: Backbone) -> SeenBeside:
    if on == "features" and net.moves:
        prepared, inputs = prepared_rows(source.inputs, net), source.inputs
        batch = readable(prepared.one, net.preparation.stacked)
        found = features(net.body, net.key, [_digest(inputs, i) for i in range(len(inputs))], batch)
        lost = torch.full((problem.features.width,), torch.nan)
        return SeenBeside(torch.stack([lost if row is None else row for row in found]), problem.features)
    theirs, ours = (cast(Columns, one.inputs.columns) for one in (source, problem))
    if on == "own inputs":
        encoder = Encoder.fit(ours.take(problem.task.pool))
        return SeenBeside(Encoder.fit(theirs)(theirs), Computed(encoder(ours)), encoder)
    shared = shared_columns(theirs, ours)
    encoder = Encoder.fit(theirs.only(shared))
    return SeenBeside(encoder(theirs), Computed(encoder(ours)), encoder)


def _digest(inputs: Any, place: int) -> str | None:
    try:
        return inputs.digest(place)
    except MetatlError:
        return None


def _few(seen: Mapping[str, SeenBeside], problem: Problem) -> list[str]:
    """A note where no covariance has full rank."""
    rows, width = len(problem.task.pool), max(one.source.shape[1] for one in seen.values())
    if rows > width:
        return []
    return [f"{rows} {problem.unit}s in {width} dimensions: covariances of the data are shrunk."]
