"""Loaded domains: mini-batches of the sources, rows without labels of any, episodes of the target."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from metatl import tree
from metatl.data.balance import Balance
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.source import Data, Kind, Tasks
from metatl.text import near
from metatl.types import Batch, Episode, MetatlError, Split


@final
@dataclass(frozen=True)
class DomainData(Data):
    """Labelled rows of the sources (meta_train, meta_val) and the target (meta_test); others without labels.

    labelled: the three banks, all with the same classes; unlabelled: the training rows of each domain.
    """

    labelled: ClassData
    unlabelled: Mapping[str, Bank]
    sources: tuple[str, ...]
    target: str
    labelled_support: ClassVar[bool] = False
    kind: Kind = "classification"
    name: str = field(init=False)
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.labelled.name)
        object.__setattr__(self, "shape", self.labelled.shape)

    @cached_property
    def _rows(self) -> Mapping[str, ClassData]:
        """Of each domain, of the sources together under an empty name: one class, which means nothing."""
        banks = dict(self.unlabelled)
        if len(set(self.sources)) > 1:
            x = torch.cat([banks[name].x for name in dict.fromkeys(self.sources)])
            banks[""] = Bank.sorted_by_class(x, [len(x)], ["rows"], banks[self.target].scale)
        return {name: ClassData(name, {"meta_train": bank}) for name, bank in banks.items()}

    def outputs(self, tasks: Tasks) -> int:
        """One unit for each class of the sources."""
        return self.labelled.classes("meta_train")

    def classes(self, split: Split) -> int:
        """Those of the sources, whatever the split."""
        return self.labelled.classes(split)

    def class_names(self, split: Split, tasks: Tasks, seed: int, index: int) -> tuple[str, ...]:
        """Of all classes, in order."""
        return self.labelled.banks["meta_train"].names

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError for episodes of other classes, or of more rows than there are."""
        tasks.check(self.name)
        way, shot, query = tasks.one
        if way != self.classes(split):
            raise MetatlError(
                f"way is {way}, but {self.name} has {self.classes(split)} classes; give all of them"
            )
        support = sum(self._support(split).banks["meta_train"].sizes)
        judged = sum(self.labelled.banks[split].sizes)
        for named, asked, held in (("shot", shot, support), ("query", query, judged)):
            if way * asked > held:
                raise MetatlError(
                    f"{named} is {asked}, {way * asked} rows of all classes together, but {split} of "
                    f"{self.name} has {held}: lower {named}"
                )

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Episode i: rows i n .. (i + 1) n of shuffled epochs: no row judges twice before all have."""
        self.check(split, tasks)
        way, shot, query = tasks.one
        support, drawn = self._support(split), list[Episode]()
        for index in range(first, first + count):
            x = support.batch("meta_train", way * shot, seed, index).x
            drawn.append(Episode(Batch(x), self.labelled.batch(split, way * query, seed, index)))
        return tree.gather(drawn, torch.stack)

    def _support(self, split: Split) -> ClassData:
        own = self.sources if split != "meta_test" else (self.target,)
        return self._rows[own[0] if len(set(own)) == 1 else ""]

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the content and of what names episodes 0 .. count - 1."""
        self.check(split, tasks)
        told = (self.content, split, tasks.one, seed, count)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    @cached_property
    def content(self) -> str:
        """The fingerprint of all rows, and of the labels of those that have any."""
        rows = [(name, bank.fingerprint) for name, bank in self.unlabelled.items()]
        told = repr((self.labelled.content, rows, self.sources, self.target))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """A labelled mini-batch, of the sources in meta_train and meta_val."""
        return self.labelled.batch(split, size, seed, step)

    def balanced(self, split: Split, size: int, seed: int, step: int, balance: Balance) -> Batch:
        """The same of epochs with as many rows of every class."""
        return self.labelled.balanced(split, size, seed, step, balance)

    def of_domain(self, name: str | None, size: int, seed: int, step: int) -> Batch:
        """Training rows of a domain, of the target for None, without labels."""
        if name is not None and name not in self.unlabelled:
            raise MetatlError(f"{self.name} has no domain {name!r}{near(name, [*self.unlabelled])}")
        rows = self._rows[self.target if name is None else name]
        return rows.batch("meta_train", size, seed, step)._replace(y=None)

    def rows(self, split: Split) -> Tensor:
        """All rows [n, *shape], class by class."""
        return self.labelled.rows(split)

    def pixels(self) -> tuple[float, float] | None:
        """As the banks say."""
        return self.labelled.pixels()

    def describe(self) -> dict[str, Any]:
        """Name, labelled rows of each split, rows of each domain, the content fingerprint."""
        domains = {name: sum(bank.sizes) for name, bank in self.unlabelled.items()}
        told = {**self.labelled.describe(), "sources": list(self.sources), "target": self.target}
        return {**told, "unlabelled": domains, "content": self.content}
