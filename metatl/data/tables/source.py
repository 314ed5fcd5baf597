"""A table as tasks: of groups (people, hospitals) with shared labels, or of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.division import listed, shares
from metatl.data.group_data import GroupData
from metatl.data.group_rule import GroupedColumns, GroupRule, Named, fingerprint
from metatl.data.shown import Show
from metatl.data.source import Data, Further, Source, device_of
from metatl.data.tables import told
from metatl.data.tables.columns import Array, Columns, as_text, missing
from metatl.data.tables.encoder import Encoder
from metatl.data.tables.reading import read_table
from metatl.data.tables.target import class_names, target
from metatl.data.targets import Targets
from metatl.types import MetatlError, Split


@final
@dataclass(frozen=True)
class Table(Source):
    """A table (CSV, TSV, Parquet, npz) with a column of classes; the other columns are a net's inputs.

    With `group` a task is a group, labels are shared, and support and query come from different values of
    `apart` (see GroupArrays). Without, a task is drawn from a split's own classes. How columns become inputs
    is fitted to the rows of meta_train alone (see `Encoder`; needs the extra `tables`).

    path: the file. target: the column of classes. group, apart: columns. drop: columns that are no inputs.
    fractions: shares of the groups, or classes, for meta_train, meta_val and meta_test, after a shuffle by
    `seed`; or train, val, test: their names. join: groups that a task of meta_train joins. smallest: classes
    with fewer rows are left out. audio: the column of wav files beside the
    table, which become columns.
    """

    path: str
    target: str
    group: str | None = None
    apart: str | None = None
    drop: tuple[str, ...] = ()
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0
    join: int = 1
    smallest: int = 0
    audio: str | None = None

    def load(self, device: str = "cpu") -> GroupData | ClassData:
        """Read, encode and divide; MetatlError in one line for whatever does not work out."""
        place = device_of(device)
        rows, targets, facts = self._read()
        if self.group is not None:
            return self._groups(rows, targets, self.group, facts, place)
        return self._classes(rows, targets, facts, place)

    def _read(self) -> tuple[Columns, Targets, dict[str, Any]]:
        """The rows that stay, without their targets; these; facts. Raises MetatlError as `load`."""
        if self.apart is not None and self.group is None:
            raise MetatlError(f"{self.path}: apart is {self.apart!r}, of the rows of a group; name the group")
        columns = self._table(self.path)[0].drop(self.drop)
        kept = [name for name in (self.group, self.apart) if name is not None]
        columns.require(kept)
        held = np.logical_and.reduce([np.full(columns.rows, True), *(~missing(columns[one]) for one in kept)])
        targets, rows = target(columns.take(held), self.target)
        if targets.kind != "classes":
            raise MetatlError(
                f"{self.path}: target {self.target!r} is {targets.kind} values, and tasks need classes: "
                "name a column of classes, or use 'metatl transfer'"
            )
        large = np.bincount(targets.values.numpy(), minlength=len(targets.names)) >= self.smallest
        if not large.any():
            raise MetatlError(f"{self.path}: no class has {self.smallest} rows; lower smallest")
        rows = rows.take(large[targets.values.numpy()])
        targets = _classes(targets, large)
        notes = [*rows.notes]
        if not held.all():
            notes.append(f"{int((~held).sum())} rows without {' or '.join(kept)} are left out")
        facts: dict[str, Any] = {"target": self.target, "drop": list(self.drop), "notes": notes}
        return rows, targets, facts

    def further(self, place: Path, data: Data, labelled: bool) -> Further:
        """Rows of a table with these columns, named by the first column to drop, else by their lines."""
        columns = read_table(self.path)
        table, why = self._table(place, columns.formats)
        lost = tuple(zip(sorted(why), self._ids(table.take(np.array(sorted(why), np.int64))), strict=True))
        table = table.take(np.array([i for i in range(table.rows) if i not in why], np.int64))
        if labelled:
            table = table.take(~missing(table[self.target]))
        named = None if not labelled else tuple(one or "" for one in class_names(table, self.target))
        return Further(self._encoder()(table), named, self._ids(table), "line", "row", lost)

    def _ids(self, table: Columns) -> tuple[str, ...]:
        """What a prediction calls the rows."""
        lines = [str(table.line(row)) for row in range(table.rows)]
        named_by = as_text(table[self.drop[0]]) if self.drop and self.drop[0] in table else lines
        return tuple(name or line for name, line in zip(named_by, lines, strict=True))

    def _table(
        self, place: str | Path, formats: Mapping[str, str] | None = None
    ) -> tuple[Columns, dict[int, str]]:
        """A table with its recordings as columns; rows that cannot be heard, and why."""
        from metatl.data.signals import heard  # which makes columns, as this package does

        return heard(read_table(place, formats=formats or {}), self.audio, place)

    def _encoder(self) -> Encoder:
        """How columns become inputs, fitted again to the rows of meta_train."""
        rows, targets, _ = self._read()
        if self.group is not None:
            group = np.array(as_text(rows[self.group]))
            own, _ = GroupRule.of(self).divided(sorted({*group.tolist()}))
            inside: Array = np.isin(group, own["meta_train"])
        else:
            inside = np.isin(targets.values.numpy(), self._divided(targets.names)[0]["meta_train"])
        return Encoder.fit(self._inputs(rows).take(inside))

    def _divided(self, names: tuple[str, ...]) -> tuple[dict[Split, list[int]], str]:
        """Places of each split's classes, and by which rule."""
        named = self._named()
        if any(named.values()):
            return listed(names, named, self.path), "by class, as listed"
        return shares(len(names), self.fractions, self.seed, self.path), "by class, shuffled"

    def _inputs(self, rows: Columns) -> Columns:
        return rows.drop({name for name in (self.group, self.apart) if name is not None})

    def _groups(
        self, rows: Columns, targets: Targets, by: str, facts: dict[str, Any], place: torch.device
    ) -> GroupData:
        group = np.array(as_text(rows[by]))
        part = None if self.apart is None else np.array(as_text(rows[self.apart]))
        rule = GroupRule.of(self)
        own, said = rule.divided(sorted({*group.tolist()}))
        x, show = self._encoded(self._inputs(rows), np.isin(group, own["meta_train"]), facts)
        label = targets.values.numpy()
        content = fingerprint((own, targets.names), x.numpy(), label, group, part)
        columns, facts = GroupedColumns(x, label, group, part), {"split": said, **facts}
        return replace(rule.data(columns, targets.names, own, facts, content, place), show=show)

    def _classes(
        self, rows: Columns, targets: Targets, facts: dict[str, Any], place: torch.device
    ) -> ClassData:
        names = targets.names
        parts, said = self._divided(names)
        x, show = self._encoded(rows, np.isin(targets.values.numpy(), parts["meta_train"]), facts)
        bank = Bank.from_arrays(x, targets.values, names, self.path)
        banks: dict[Split, Bank] = {s: bank.pick(part).to(place) for s, part in parts.items() if part}
        return ClassData(Path(self.path).stem, banks, {"split": said, **facts, "seed": self.seed}, show=show)

    def _named(self) -> Named:
        return {"meta_train": self.train, "meta_val": self.val, "meta_test": self.test}

    def _encoded(self, rows: Columns, fitted: Array, facts: dict[str, Any]) -> tuple[Tensor, Show]:
        """Inputs [n, width], fitted to some rows, and how one is read back.

        `facts` gets what was left out or is not known there.
        """
        if not fitted.any():
            raise MetatlError(
                f"{self.path}: meta_train is empty, and its rows scale the columns; give it some"
            )
        encoder = Encoder.fit(rows.take(fitted))
        facts["columns"], facts["columns_left_out"] = list(encoder.columns), dict(encoder.left_out)
        facts["notes"] = [*facts["notes"], *encoder.notes(rows)]
        return encoder(rows), partial(told.row, encoder)


def _classes(targets: Targets, large: Array) -> Targets:
    """The targets of the rows of large classes, numbered anew."""
    place = np.cumsum(large) - 1
    values = targets.values.numpy()
    names = tuple(name for name, enough in zip(targets.names, large.tolist(), strict=True) if enough)
    return Targets("classes", names, torch.from_numpy(place[values[large[values]]]))
