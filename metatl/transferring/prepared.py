"""Rows as a net takes them, read when they are asked for; and whether it takes such rows at all."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.data.examples import Index, Inputs
from metatl.data.tables import Encoder
from metatl.transferring.backbone import Backbone
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
        """The row [*shape]."""
        return self.x[place]

    def some(self, places: Index) -> Tensor:
        """The rows [n, *shape]."""
        return self.x[torch.from_numpy(places)]


def check_unit(net: Backbone, inputs: Inputs) -> None:
    """Raise MetatlError for a net that reads something else than such rows."""
    if net.moves and not reads(net.preparation, inputs):
        raise MetatlError(
            f"{net.facts['net']} reads {net.preparation.unit}s, and these are {inputs.unit}s; name another "
            "net, or none"
        )


def reads(preparation: Any, inputs: Inputs) -> bool:
    """Whether such rows are what it takes."""
    if isinstance(preparation, Encoder):
        return inputs.columns is not None
    return preparation.unit == inputs.unit


def whole(preparation: Any, inputs: Inputs) -> Any:
    """All rows at once as the preparation takes them, where they are in memory; else None."""
    return inputs.columns if isinstance(preparation, Encoder) else inputs.held


def remarks(preparation: Any, inputs: Inputs) -> tuple[str, ...]:
    """What a preparation has to say of these rows."""
    held = whole(preparation, inputs)
    return preparation.notes(map(inputs.shown, range(len(inputs))) if held is None else held)


def check_reads(preparation: Any, inputs: Inputs) -> None:
    """Raise MetatlError for rows of another unit; warn of values and columns of a table that say nothing."""
    unit = preparation.unit
    if not reads(preparation, inputs):
        raise MetatlError(f"the model reads {unit}s, and these are {inputs.unit}s; give {unit}s")
    if inputs.columns is not None:
        warn_of((*inputs.columns.notes, *remarks(preparation, inputs)))


def warn_of(notes: Iterable[str]) -> None:
    """Each note as a warning: in Python there is no console on which a command would write it."""
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=5)


def prepared_rows(inputs: Inputs, net: Backbone) -> Prepared:
    """The rows as the net takes them; all at once where they are in memory."""
    held = whole(net.preparation, inputs) if net.moves else None
    return Read(inputs, net.preparation) if held is None else Held(net.preparation(held))
