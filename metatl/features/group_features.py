"""Anybody's rows as the features of a frozen net, in tasks of groups with shared labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Examples, Inputs
from metatl.data.fetch import placed
from metatl.data.group_data import GroupData
from metatl.data.group_rule import GroupedColumns, GroupRule, fingerprint
from metatl.data.labelled import Array
from metatl.data.source import Data, Further, Source, device_of
from metatl.data.standard import Standard
from metatl.data.tables import read_table
from metatl.data.tables.columns import missing
from metatl.data.tables.target import class_names
from metatl.text import near
from metatl.transferring.asked import check_alike
from metatl.transferring.backbone import Backbone
from metatl.transferring.opened import Words, opened, usual_net
from metatl.transferring.prepared import check_unit, remarks
from metatl.transferring.pretraining import net_for
from metatl.transferring.problem import digests_of, seen_by
from metatl.transferring.source import distinct
from metatl.types import MetatlError

INPUTS = ("text", "photo", "audio", "drop")
"""The words that say which columns a row is made of."""


class _UnitRows(NamedTuple):
    """The rows that stay: examples, features [n, d], digests of their content; names of the unreadable."""

    examples: Examples
    x: Tensor
    digests: list[str | None]
    unreadable: list[str]


@final
@dataclass(frozen=True)
class GroupFeatures(Source):
    """Rows of whatever `metatl transfer` reads, as what a frozen net makes of them; a task is a group.

    Labels are shared by all tasks, and support and query come from different values of `apart` (see
    GroupArrays). Every row goes through the net once, and its features are kept in the user's cache by
    content; each feature gets mean 0 and deviation 1 over the rows of meta_train.

    path: a table (CSV, TSV, Parquet, npz). target, group, apart: its columns. inputs: how the command says
    what its rows are: text, photo or audio (a column), drop (columns, with commas). net, size: as of `metatl
    transfer`; None: the usual net of such rows. source: data like these to learn the net on, where rows have
    no usual one. fractions: shares of the groups for meta_train, meta_val and meta_test, after a shuffle by
    `seed`; or train, val, test: their names. join: groups that a task of meta_train joins. smallest: classes
    with fewer rows are left out.
    """

    path: str
    target: str
    group: str
    apart: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    net: str | None = None
    size: int | None = None
    source: str | None = None
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0
    join: int = 1
    smallest: int = 0

    def load(self, device: str = "cpu") -> GroupData:
        """Read, pass through the net, divide; MetatlError in one line for whatever does not work out."""
        place, found = device_of(device), self.examples()
        net, notes = self._net(found)
        rows = self._rows(found, net)
        examples, label = rows.examples, rows.examples.targets.values.numpy()
        group, part = _whose(examples), examples.part_of
        own, said = self._rule.divided(sorted({*group.tolist()}))
        standard = Standard.of(rows.x, np.isin(group, own["meta_train"]), self.path)
        names = examples.targets.names
        content = fingerprint((own, names, net.key, rows.digests), label, group, part)
        facts: dict[str, Any] = {"split": said, "net": net.facts["net"], "weights": net.facts["weights"]}
        notes = [*examples.notes, *notes, *remarks(net.preparation, examples.inputs)]
        facts |= {"standardised": "per feature, by meta_train", "notes": notes}
        facts |= {"unreadable": rows.unreadable} if rows.unreadable else {}
        columns = GroupedColumns(standard(rows.x), label, group, part)
        return self._rule.data(columns, names, own, facts, content, place)

    def further(self, place: Path, data: Data, labelled: bool) -> Further:
        """Rows like these through the same net."""
        own = self.examples()
        net, _ = self._net(own)
        known = self._rows(own, net)
        group = _whose(known.examples)
        train = self._rule.divided(sorted({*group.tolist()}))[0]["meta_train"]
        reader = own.reader
        inputs, named = reader.read([place]), None
        kept = np.array([i for i in range(len(inputs)) if i not in inputs.lost], np.int64)
        if labelled:
            told = self._words.text or self._words.photo
            formats = read_table(placed(Path(self.path)), text=told).formats
            table = read_table(place, formats=formats)
            table.require([self.target])
            named = class_names(table, self.target)
            kept = kept[~missing(table[self.target])[kept]]
        some = inputs.take(kept)
        there, x, _ = _seen(some, net)
        ids = tuple(some.ids[int(i)] for i in there)
        labels = None if named is None else tuple(str(named[int(kept[int(i)])]) for i in there)
        x = Standard.of(known.x, np.isin(group, train), self.path)(x) if ids else x
        gone = {*range(len(inputs))} - {int(kept[int(i)]) for i in there}
        lost = () if labelled else tuple((i, inputs.ids[i]) for i in sorted(gone))
        return Further(x, labels, ids, reader.id_name, reader.unit, lost)

    @property
    def _rule(self) -> GroupRule:
        return GroupRule.of(self)

    @property
    def _words(self) -> Words:
        for name in self.inputs:
            if name not in INPUTS:
                raise MetatlError(f"{self.path}: inputs has no {name!r}{near(name, INPUTS, len(INPUTS))}")
        return Words(target=self.target, group=self.group, apart=self.apart, **self.inputs)

    def examples(self) -> Examples:
        """The rows with a class, a group and, where it counts, a part."""
        found, _ = opened(placed(Path(self.path)), self._words)
        if found.targets.kind != "classes":
            raise MetatlError(
                f"{self.path}: target {self.target!r} is {found.targets.kind} values, and groups share "
                "classes: name a column of classes"
            )
        return found

    def _net(self, examples: Examples) -> tuple[Backbone, list[str]]:
        """The net that is named, else the usual one, else the one that is learned on the source; notes."""
        words, others, notes = self._words, None, list[str]()
        name = self.net or usual_net(words)
        if self.source is not None:
            if name is not None:
                raise MetatlError(f"source: a net is learned on it, and {name} is one already; leave one out")
            theirs, _ = opened(placed(Path(self.source)), replace(words, apart=None), strict=False)
            check_alike(examples, theirs)
            others, notes = distinct(theirs, examples)
        net, told = net_for(name, self.size, others, examples, self.seed)
        if not net.moves:
            raise MetatlError(f"{self.path}: these rows have no usual net; name one, or a source to learn on")
        check_unit(net, examples.inputs)
        return net, [*notes, *told]

    def _rows(self, found: Examples, net: Backbone) -> _UnitRows:
        """The rows that can be read, of the classes that have enough of them."""
        kept, x, digests = _seen(found.inputs, net)
        sizes = np.bincount(found.targets.values.numpy()[kept], minlength=len(found.targets.names))
        large = sizes >= max(self.smallest, 1)
        if not large.any():
            raise MetatlError(f"{self.path}: no class has {self.smallest} rows; lower smallest")
        stay = large[found.targets.values.numpy()[kept]]
        lost = sorted({*range(len(digests))} - {*kept.tolist()})
        some, now = found.take(kept[stay]), torch.from_numpy(np.cumsum(large) - 1)
        names = tuple(n for n, enough in zip(found.targets.names, large.tolist(), strict=True) if enough)
        targets = replace(some.targets, names=names, values=now[some.targets.values])
        unreadable = [*found.left_out, *(f"{found.inputs.ids[i]} (cannot be read)" for i in lost)]
        own = [digests[int(i)] for i in kept[stay]]
        return _UnitRows(replace(some, targets=targets), x[torch.from_numpy(stay)], own, unreadable)


def _seen(inputs: Inputs, net: Backbone) -> tuple[Array, Tensor, list[str | None]]:
    """Which rows can be read, their features, and the digests of all."""
    digests = digests_of(inputs)[0]
    kept, x = seen_by(net, inputs, digests)
    return kept, x, digests


def _whose(examples: Examples) -> Array:
    assert examples.group is not None  # a word that is always given
    return examples.group
