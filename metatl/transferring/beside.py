"""The source's labelled rows beside the problem's own: in the same numbers, with the same targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Index
from metatl.data.tables import Columns, Encoder
from metatl.transferring.backbone import Backbone
from metatl.transferring.features import Computed, Features, features, readable
from metatl.transferring.pairs import places_of
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


class Streams(NamedTuple):
    """What a fit sees beside labelled rows: the source's, unlabelled ones [m, d], the same things in both."""

    source: Batch
    unlabelled: Tensor
    paired: tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class Beside:
    """What rows that read the source see of it.

    seen: by what such a row reads (`reads_on`); y [n]: targets in the problem's numbers of
    classes; notes: on what is left out, and on classes that the source does not know; pair [n]: place of the
    problem's row of the same thing, -1 for none (`pairs.places_of`), where a column pairs them.
    """

    seen: Mapping[str, SeenBeside]
    y: Tensor
    notes: tuple[str, ...]
    pair: Index | None = None

    def rows(self, on: str, inside: Index, judging: Index) -> Streams:
        """The source's rows, these of the problem without labels, and pairs, as a row of a table sees them.

        judging: rows of the problem; whatever the source has of the same things is left out.
        """
        seen, apart = self.seen[on], self.apart(judging)
        unlabelled, paired = seen.problem.of(inside, inside), None
        if self.pair is not None:
            both = np.flatnonzero(np.isin(self.pair, inside))
            paired = seen.source[torch.from_numpy(both)], seen.problem.of(self.pair[both], inside)
        return Streams(Batch(seen.source[apart], self.y[apart]), unlabelled, paired)

    def apart(self, judging: Index) -> Tensor | slice:
        """The source's rows that are of nothing that judges, as places [n] or all."""
        if self.pair is None:
            return slice(None)
        return torch.from_numpy(np.flatnonzero(~np.isin(self.pair, judging)))


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
    places = places_of(source, problem)
    if places is not None:
        places = places[kept]
        notes.append(f"{_many(places)}; a source row is left out of every fit that its thing judges.")
    notes += _few(some, problem)
    return Beside(some, torch.stack([cast(Tensor, y[i]) for i in kept]), tuple(notes), places)


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


def _many(places: Index) -> str:
    return f"{int((places >= 0).sum())} things have a row in the source and one in the data"


def _few(seen: Mapping[str, SeenBeside], problem: Problem) -> list[str]:
    """A note where no covariance has full rank."""
    rows, width = len(problem.task.pool), max(one.source.shape[1] for one in seen.values())
    if rows > width:
        return []
    return [f"{rows} {problem.unit}s in {width} dimensions: covariances of the data are shrunk."]
