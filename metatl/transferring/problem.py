"""A user's own problem as ways of transferring see it: targets, features, prepared rows, draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Examples, Index, Inputs, TestPart
from metatl.data.fixed import Fixed
from metatl.data.tables import Encoder
from metatl.data.tables.plan import planned, without_part
from metatl.data.targets import Targets
from metatl.opening import text_of
from metatl.transferring.backbone import Backbone
from metatl.transferring.features import Computed, Encoded, Features, Tick, features, forward, readable
from metatl.transferring.prepared import Prepared, check_unit, prepared_rows, remarks, whole
from metatl.types import MetatlError


@dataclass(frozen=True)
class Problem:
    """A fixed problem.

    inputs, targets, digests: of its n rows; features: of the frozen body, or columns as numbers; encoded:
    columns as numbers, where there are columns; prepared: rows as the net takes them; task: which rows are
    labelled and which judge; part: where the latter come from; left_out, notes: of what was read; pair: see
    `Examples`.
    """

    name: str
    inputs: Inputs
    targets: Targets
    digests: tuple[str, ...]
    features: Features
    encoded: Features | None
    prepared: Prepared
    task: Fixed
    part: TestPart
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    pair: Any = None

    @property
    def unit(self) -> str:
        """What a row is called."""
        return self.inputs.unit

    @property
    def twins(self) -> int:
        """Rows that judge, in the test part or a fold, with the content of one that is labelled with them."""
        count = 0
        for draw in range(self.task.draws(None, 1)):
            part = self.task.draw(None, draw)
            labelled = {self.digests[i] for i in part.labelled}
            count += sum(self.digests[i] in labelled for i in part.test)
        return count


def read_problem(
    examples: Examples, net: Backbone, seed: int, tick: Tick = lambda done, total: None
) -> Problem:
    """The examples with their features. Rows that cannot be read are left out and named.

    Raises MetatlError in one line where a class has no readable row.
    """
    check_unit(net, examples.inputs)
    found, why = digests_of(examples.inputs)
    columns = examples.inputs.columns
    seen: Features
    encoded = None if columns is None else Encoded(columns, _of_draw)
    if net.moves:
        kept, rows = seen_by(net, examples.inputs, found, tick)
        lost = {*range(len(found))} - {*kept.tolist()}
        why = {i: f"{text_of(examples.inputs.ids[i])} (cannot be read)" for i in lost} | why
        seen = Computed(rows)
    elif encoded is None:
        raise MetatlError(f"{examples.name}: {examples.inputs.unit}s need a net; name one with --net")
    else:
        kept, seen = np.arange(len(found)), encoded
    some = examples if len(kept) == len(found) else examples.take(kept)
    _check(examples, some)
    told = remarks(net.preparation, some.inputs) if columns is None or net.moves else without_part(columns)
    return Problem(
        some.name,
        some.inputs,
        some.targets,
        tuple(str(found[i]) for i in kept),
        seen,
        encoded,
        prepared_rows(some.inputs, net),
        Fixed(some.targets.strata(), some.pool, some.test, seed, some.group),
        some.part,
        (*(said for _, said in sorted(why.items())), *some.left_out),
        (*some.notes, *told),
        some.pair,
    )


def _of_draw(columns: Any) -> Callable[[Any], Tensor]:
    """The encoder of labelled rows [n]; where no column tells these few apart, one number that is 0."""
    return Encoder.fit(columns) if planned(columns).uses else lambda rows: torch.zeros(rows.rows, 1)


def seen_by(
    net: Backbone,
    inputs: Inputs,
    digests: Sequence[str | None],
    tick: Tick = lambda done, total: None,
) -> tuple[Index, Tensor]:
    """The rows that a net that moves can read, and what its frozen body makes of them [n, d]."""
    if (held := whole(net.preparation, inputs)) is not None:
        return np.arange(len(digests)), forward(net.body(), net.preparation(held))
    batch = readable(prepared_rows(inputs, net).one, net.preparation.stacked)
    rows = features(net.body, net.key, digests, batch, tick)
    there = [row for row in rows if row is not None]
    kept = np.array([i for i, row in enumerate(rows) if row is not None], np.int64)
    return kept, torch.stack(there) if there else torch.zeros(0, 1)


def digests_of(inputs: Inputs) -> tuple[list[str | None], dict[int, str]]:
    """The digest of every row's content, None for those that cannot be read, and why they cannot."""
    found: list[str | None] = []
    why: dict[int, str] = {}
    for place in range(len(inputs)):
        try:
            found.append(inputs.digest(place))
        except MetatlError as error:
            found.append(None)
            why[place] = str(error)
    return found, why


def _check(whole: Examples, some: Examples) -> None:
    """Every class that there was must have a row that may be labelled."""
    names, unit = some.targets.names, some.inputs.unit
    if some.targets.kind != "classes":
        if len(some.pool) < 2:
            raise MetatlError(f"{whole.name}: {len(some.pool)} {unit}s to learn from; give two or more")
        return
    counts = np.bincount(some.targets.strata()[some.pool], minlength=len(names))
    if not counts.all():
        name = names[int(counts.argmin())]
        raise MetatlError(f"{whole.name}: no {unit} of class {name!r} can be read; repair or replace them")
    if some.test is None and some.group is None and counts.min() < 2:
        name = names[int(counts.argmin())]
        raise MetatlError(
            f"{whole.name}: class {name!r} has one {unit} only: folds need two or more of each class; "
            "add some, or leave the class out"
        )
