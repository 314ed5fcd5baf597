"""Streams: what a learner draws beside its labelled source rows, a batch a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from metatl.data.counter import number
from metatl.data.source import Data
from metatl.fields import Checked
from metatl.types import Batch, MetatlError, Split
from metatl.views import View, viewed

_VIEWS = 13


class Stream(Checked, ABC):
    """A named source of rows: what a step draws depends on (seed, step) only.

    One that is named `source` stands in the place of the labelled rows.
    """

    @abstractmethod
    def check(self, data: Data) -> None:
        """Raise MetatlError, before any work, where the data cannot serve."""

    def outputs(self, data: Data) -> int | None:
        """Output units that its targets need, where they are its own."""
        return None

    @abstractmethod
    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """The rows of one step."""


@dataclass(frozen=True)
class Unlabelled(Stream):
    """Rows of a split without their labels, which are never read.

    Args:
        split: where the rows come from.
        size: rows a step.
    """

    split: Split = "meta_val"
    size: int = 64

    def check(self, data: Data) -> None:
        """Refuse an empty batch, and a split that is not there."""
        if self.size < 1:
            raise MetatlError(f"Unlabelled: size is {self.size}; give 1 row a step or more")
        data.batch(self.split, 1, 0, 0)

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """x alone; y is None."""
        return data.batch(self.split, self.size, seed, step)._replace(y=None)


@dataclass(frozen=True)
class LabelledRows(Stream):
    """Rows of a split with their targets; named `source`, of nets that are no classifiers of its classes.

    Several targets by name (`objectives.OfTarget`), say, or a task of its own beside another's rows.

    Args:
        split: where the rows come from.
        size: rows a step.
    """

    split: Split = "meta_train"
    size: int = 64

    def check(self, data: Data) -> None:
        """Refuse an empty batch, and a split that is not there."""
        if self.size < 1:
            raise MetatlError(f"LabelledRows: size is {self.size}; give 1 row a step or more")
        data.batch(self.split, 1, 0, 0)

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """x and y."""
        return data.batch(self.split, self.size, seed, step)


@dataclass(frozen=True)
class Domain(Stream):
    """Training rows of a domain without their labels, which are never read.

    Streams of one domain and size draw the same rows, each through its own views.

    Args:
        name: of the domain; the target's for None.
        size: rows a step.
        views: the rows as they might also have looked.
        key: of what the views draw; under another one the same views look at the rows anew.
    """

    name: str | None = None
    size: int = 64
    views: tuple[View, ...] = ()
    key: int = 0

    def check(self, data: Data) -> None:
        """Refuse an empty batch, and a domain that is not there."""
        if self.size < 1:
            raise MetatlError(f"Domain: size is {self.size}; give 1 row a step or more")
        if soft := [type(view).__name__ for view in self.views if view.soft]:
            raise MetatlError(f"Domain: {soft[0]} mixes labels, and these rows have none; leave it out")
        viewed(self.views, 0, data.of_domain(self.name, 1, 0, 0), 0)

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """x alone; y is None."""
        rows = data.of_domain(self.name, self.size, seed, step)
        return viewed(self.views, number(seed, _VIEWS, step, self.key), rows, 0)
