"""Other data, to learn on first: what they hold, and episodes of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from metatl import tree
from metatl.data.balance import Balance
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.examples import Examples, Inputs
from metatl.data.source import Data, Tasks
from metatl.data.targets import Targets
from metatl.transferring.backbone import Backbone
from metatl.transferring.prepared import Prepared, prepared_rows
from metatl.transferring.problem import Problem
from metatl.types import Batch, Episode, MetatlError, Ragged, Split


@dataclass(frozen=True)
class SourceRows:
    """The labelled rows of other data, class by class; their own test part is not among them.

    key: digest of targets and content; shared: class names that the problem has; pair: as in Examples.
    """

    name: str
    inputs: Inputs
    targets: Targets
    key: str
    shared: tuple[str, ...]
    pair: Any = None


def distinct(source: Examples, problem: Examples) -> tuple[Examples, list[str]]:
    """The source without rows that are the problem's too, which would tell targets beforehand; and a note.

    Rows of a table are compared in the columns that both have. Copies of files are not left out here but
    refused (`source_rows`). Raises MetatlError where no row is left to learn from.
    """
    if source.inputs.copied:
        return source, []
    theirs, ours = _contents(source.inputs, problem.inputs), _contents(problem.inputs, source.inputs)
    own = {*ours} - {""}
    whole = np.array([place for place, one in enumerate(theirs) if one not in own], np.int64)
    count = len(theirs) - len(whole)
    if not count:
        return source, []
    left, unit = source.take(whole), source.inputs.unit
    if not len(left.pool):
        raise MetatlError(f"source: all its {unit}s are {unit}s of the data too, whose targets it would tell")
    return left, [f"Left out of the source: {count} {unit}s that are among the data too."]


def ordered(source: Examples, problem: Examples) -> Examples:
    """Rows without labels by their content (`_contents`): where they lay could tell of their labels."""
    if source.targets.known:
        return source
    contents = _contents(source.inputs, problem.inputs)
    found = source.take(np.array(sorted(range(len(contents)), key=contents.__getitem__), np.int64))
    return replace(found, pool=np.sort(found.pool))


def _contents(inputs: Inputs, other: Inputs) -> list[str]:
    """A digest of every row, of a table in the columns that the other has too; "" for what cannot be told."""
    if inputs.columns is None:
        return [_digest(inputs, place) for place in range(len(inputs))]
    shared = [name for name in inputs.columns if name in other.columns]
    return inputs.columns.only(shared).digests() if shared else [""] * len(inputs)


def source_rows(examples: Examples, problem: Problem) -> SourceRows:
    """What the source holds. Raises MetatlError where it cannot serve.

    That is a row which is also one of the problem's: what is learned on the source would then know the target
    of a row that judges, or of one that is not labelled.
    """
    order = np.argsort(examples.targets.strata()[examples.pool], kind="stable")
    found = examples.take(examples.pool[order])
    own = dict(zip(problem.digests, problem.inputs.ids, strict=True))
    digests = [_digest(found.inputs, place) for place in range(len(found.inputs))]
    for place, digest in enumerate(digests):
        if digest in own:
            unit = problem.unit
            raise MetatlError(
                f"source: {found.inputs.ids[place]} is the same {unit} as {own[digest]}; a source that holds "
                f"{unit}s of the problem tells their labels beforehand: take them out of it"
            )
    said = json.dumps([found.targets.names, found.targets.digits, digests])
    names = () if found.targets.clusters else found.targets.names
    shared = tuple(name for name in names if name in problem.targets.names)
    key = hashlib.sha256(said.encode()).hexdigest()[:16]
    return SourceRows(found.name, found.inputs, found.targets, key, shared, found.pair)


def _digest(inputs: Inputs, place: int) -> str:
    try:
        return inputs.digest(place)
    except MetatlError:
        return ""


@dataclass(frozen=True)
class SourceTasks(Data):
    """Episodes of source rows: meta_train alone; rows are read when they are drawn.

    places: the same episodes of the rows' places [n, 1]; prepared: the rows as the net takes them;
    unreadable: those left out; clusters: whether classes are clusters, whose tasks are pairs.
    """

    places: ClassData
    prepared: Prepared
    unreadable: tuple[str, ...]
    shape: tuple[int, ...]
    unit: str
    clusters: bool = False
    name: str = "source"
    kind = "classification"

    def outputs(self, tasks: Tasks) -> int:
        """One unit for each class of an episode."""
        return self.places.outputs(tasks)

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError for more classes or rows than there are."""
        self.places.check(split, tasks)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode | Ragged:
        """Episodes first .. first + count - 1, stacked."""
        drawn = self.places.draw(split, tasks, seed, first, count)
        if isinstance(drawn, Ragged):
            return replace(drawn, parts=tuple(map(self._read, drawn.parts)))
        return self._read(drawn)

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """An ordinary mini-batch; y = class of the source."""
        return self._seen(self.places.batch(split, size, seed, step))

    def balanced(self, split: Split, size: int, seed: int, step: int, balance: Balance) -> Batch:
        """The same of epochs with as many rows of every class."""
        return self._seen(self.places.balanced(split, size, seed, step, balance))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the places that these episodes draw."""
        return self.places.fingerprint(split, tasks, seed, count)

    def classes(self, split: Split) -> int:
        """Number of classes."""
        return self.places.classes(split)

    def describe(self) -> dict[str, Any]:
        """Classes and rows."""
        return self.places.describe()

    def _read(self, drawn: Episode) -> Episode:
        return drawn._replace(support=self._seen(drawn.support), query=self._seen(drawn.query))

    def _seen(self, rows: Batch) -> Batch:
        """Prepared rows [..., *shape] in place of their places [..., 1]."""
        at = rows.x.squeeze(-1)
        if not at.numel():
            return rows._replace(x=torch.zeros(*at.shape, *self.shape))
        seen = self.prepared.some(at.flatten().numpy())
        return rows._replace(x=tree.apply(lambda leaf: leaf.view(*at.shape, *leaf.shape[1:]), seen))


def source_tasks(source: SourceRows, net: Backbone) -> SourceTasks:
    """The source's rows as tasks of classes. Rows that cannot be read are left out and named.

    Raises MetatlError for targets that are no classes, and where fewer than two rows of a class can be read.
    """
    if source.targets.kind != "classes":
        raise MetatlError("source: its targets are no classes, of which tasks could be made")
    prepared, places = prepared_rows(source.inputs, net), list[int]()
    for place in range(len(source.inputs)):
        try:
            prepared.one(place)
        except MetatlError:
            continue
        places.append(place)
    names, labels = source.targets.names, source.targets.strata()
    sizes = np.bincount(labels[places], minlength=len(names))
    if sizes.min() < 2:
        name = names[int(sizes.argmin())]
        raise MetatlError(
            f"source: {sizes.min()} {source.inputs.unit}s of class {name!r} can be read; give two or more, "
            "or take it out"
        )
    rows = torch.tensor(places, dtype=torch.int64).unsqueeze(-1)
    bank = Bank.sorted_by_class(rows, sizes.tolist(), names)
    left = tuple(source.inputs.ids[i] for i in range(len(source.inputs)) if i not in set(places))
    shape = tuple(tree.first(prepared.one(places[0])).shape)
    data = ClassData("source", {"meta_train": bank})
    return SourceTasks(data, prepared, left, shape, source.inputs.unit, source.targets.clusters)
