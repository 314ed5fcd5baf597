"""A user's own problem as ways of transferring see it: targets, features, prepared rows, draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl import tree
from metatl.data.examples import Examples, Index, Inputs, TestPart
from metatl.data.fixed import Fixed
from metatl.data.tables import Encoder
from metatl.data.targets import Targets
from metatl.opening import text_of
from metatl.transferring.backbone import Backbone
from metatl.transferring.features import Computed, Encoded, Features, Tick, features, forward, readable
from metatl.types import MetatlError

_MOST_HELD = 1 << 30
"""Bytes of prepared rows that stay in memory."""


class Prepared(ABC):
    """Rows as a net takes them."""

    @abstractmethod
    def one(self, place: int) -> Any:
        """A prepared row, without a leading axis; raises MetatlError for one that cannot be read."""

    @abstractmethod
    def some(self, places: Index) -> Any:
        """Prepared rows [n, ...]."""


@dataclass
class Read(Prepared):
    """Prepared when they are asked for, and held as long as memory allows."""

    inputs: Inputs
    preparation: Any
    _held: dict[int, Any] = field(default_factory=dict[int, Any])
    _bytes: int = 0

    def one(self, place: int) -> Any:
        """The prepared row."""
        if place in self._held:
            return self._held[place]
        x = self.preparation(self.inputs.raw(place))
        size = sum(leaf.nbytes for leaf in tree.leaves(x))
        if self._bytes + size <= _MOST_HELD:
            self._held[place] = x
            self._bytes += size
        return x

    def some(self, places: Index) -> Any:
        """The prepared rows, stacked as the preparation does it."""
        return self.preparation.stacked([self.one(int(place)) for place in places])


@dataclass(frozen=True)
class Held(Prepared):
    """Rows [n, ...] that are prepared already."""

    x: Tensor

    def one(self, place: int) -> Tensor:
        """The row."""
        return self.x[place]

    def some(self, places: Index) -> Tensor:
        """The rows."""
        return self.x[torch.from_numpy(places)]


@dataclass(frozen=True)
class Problem:
    """A fixed problem.

    inputs, targets, digests: of its n rows; features: of the frozen body, or columns as numbers; encoded:
    columns as numbers, where there are columns; prepared: rows as the net takes them; task: which rows are
    labelled and which judge; part: where the latter come from; left_out, notes: of what was read.
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

    @property
    def unit(self) -> str:
        """What a row is called."""
        return self.inputs.unit

    @property
    def twins(self) -> int:
        """Test rows with the content of a labelled one."""
        test = self.task.test
        if test is None:
            return 0
        labelled = {self.digests[i] for i in self.task.pool}
        return sum(self.digests[i] in labelled for i in test)


def read_problem(
    examples: Examples, net: Backbone, seed: int, tick: Tick = lambda done, total: None
) -> Problem:
    """The examples with their features. Rows that cannot be read are left out and named.

    Raises MetatlError in one line where a class has no readable row.
    """
    found, unreadable = _digests(examples.inputs)
    columns = examples.inputs.columns
    seen: Features
    encoded = None if columns is None else Encoded(columns, Encoder.fit)
    if net.moves and columns is not None:
        kept, seen = np.arange(len(found)), Computed(forward(net.body(), net.preparation(columns)))
    elif net.moves:
        prepared = prepared_rows(examples.inputs, net)
        batch = readable(prepared.one, net.preparation.stacked)
        rows = features(net.body(), net.key, found, batch, tick)
        kept = np.array([i for i, row in enumerate(rows) if row is not None], np.int64)
        unreadable |= {i for i, row in enumerate(rows) if row is None}
        held = [row for row in rows if row is not None]
        seen = Computed(torch.stack(held) if held else torch.zeros(0, 1))
    elif encoded is None:
        raise MetatlError(f"{examples.name}: {examples.inputs.unit}s need a net; name one with --net")
    else:
        kept, seen = np.arange(len(found)), encoded
    some = examples if len(kept) == len(found) else examples.take(kept)
    _check(examples, some)
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
        (
            *(f"{text_of(examples.inputs.ids[i])} (cannot be read)" for i in sorted(unreadable)),
            *some.left_out,
        ),
        some.notes,
    )


def prepared_rows(inputs: Inputs, net: Backbone) -> Prepared:
    """The rows as the net takes them; of a table all at once."""
    if inputs.columns is None or not net.moves:
        return Read(inputs, net.preparation)
    return Held(net.preparation(inputs.columns))


def _digests(inputs: Inputs) -> tuple[list[str | None], set[int]]:
    found: list[str | None] = []
    unreadable: set[int] = set()
    for place in range(len(inputs)):
        try:
            found.append(inputs.digest(place))
        except MetatlError:
            found.append(None)
            unreadable.add(place)
    return found, unreadable


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
