"""One's own data as tasks of groups: an npz file in which every row knows its person, hospital or sensor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from metatl.data.catalogue import missing
from metatl.data.checked import Channels, as_inputs, as_labels
from metatl.data.fetch import placed
from metatl.data.group_data import GroupData
from metatl.data.group_rule import GroupedColumns, GroupRule
from metatl.data.labelled import Array, array_names, read_npz
from metatl.data.source import Data, Further, Source, device_of
from metatl.data.standard import Standard
from metatl.text import near
from metatl.types import MetatlError


@final
@dataclass(frozen=True)
class GroupArrays(Source):
    """An npz file with x [n, ...], y [n] (labels that all groups share) and whom each row comes from.

    A task is a group: its support and its query are rows of that group alone, with the same labels in every
    task. Groups without every class on both sides are left out, and named in `describe`.

    path: the file, or one below `$METATL_DATA` or the cache. group: the array [n] of whom a row comes from.
    apart: the array [n] of what support and query never share (recordings, days); without one they are two
    random halves of every class. fractions: shares of the groups for meta_train, meta_val and meta_test,
    after a shuffle by `seed`; or train, val, test: the groups of each. join: groups that a task of meta_train
    joins. channels: where those of pictures lie, if their shape does not say. target: the array of labels;
    names: that of their names, in their order. smallest: classes with fewer rows are left out. scale: the
    array [channels] by which x is multiplied (stored integers); standardise: whether every channel gets mean
    0 and deviation 1 over meta_train.
    """

    path: str
    group: str = "group"
    apart: str | None = None
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0
    join: int = 1
    channels: Channels | None = None
    target: str = "y"
    names: str | None = None
    smallest: int = 0
    scale: str | None = None
    standardise: bool = False

    def load(self, device: str = "cpu") -> GroupData:
        """Read and divide; MetatlError for a file that is no such file, or a split that does not work out."""
        place, held = device_of(device), self._held(Path(self.path), self._columns)
        rule = self._rule
        x, label, labels, kept = self._rows(held)
        group = self._column(held, self.group, len(kept))[kept]
        part = None if self.apart is None else self._column(held, self.apart, len(kept))[kept]
        own, said = rule.divided(sorted({*group.tolist()}))
        told = hashlib.sha256(repr(own).encode())
        for name in self._columns:
            told.update(repr((name, held[name].dtype, held[name].shape)).encode())
            told.update(np.ascontiguousarray(held[name]).tobytes())
        facts: dict[str, Any] = {"split": said}
        standard = None
        if self.standardise:
            standard = Standard.of(x, np.isin(group, own["meta_train"]), self.path)
            x, facts = standard(x), {**facts, "standardised": "per channel, by meta_train"}
        if self.smallest:
            told.update(repr(labels).encode())
        columns, content = GroupedColumns(x, label, group, part), told.hexdigest()[:16]
        data = rule.data(columns, labels, own, facts, content, place)
        return replace(data, standard=standard and standard.values())

    def further(self, place: Path, data: Data, labelled: bool) -> Further:
        """Rows of another npz file with an x like this one's (and labels, where they are asked for)."""
        names = ["x", *([self.target] if labelled else []), *([self.scale] if self.scale else [])]
        held = self._held(place, names)
        x = self._scaled(held, self._inputs(held, place))
        own = self._held(Path(self.path), self._columns)
        if self.standardise:
            known, _, _, kept = self._rows(own)
            group = self._column(own, self.group, len(kept))[kept]
            train = self._rule.divided(sorted({*group.tolist()}))[0]["meta_train"]
            x = Standard.of(known, np.isin(group, train), self.path)(x)
        ids = tuple(str(row) for row in range(len(x)))
        if not labelled:
            return Further(x, None, ids)
        ours = as_labels(own[self.target], f"{self.path}: ")[1]
        names = dict(zip(map(str, ours), self._called(own, ours), strict=True))
        y, labels = as_labels(held[self.target], f"{place}: ")
        if len(y) != len(x):
            raise MetatlError(f"{place}: {len(x)} rows of x and {len(y)} of {self.target}; give as many")
        return Further(x, tuple(names.get(str(labels[int(at)]), str(labels[int(at)])) for at in y), ids)

    @property
    def _rule(self) -> GroupRule:
        return GroupRule.of(self)

    @property
    def _columns(self) -> list[str]:
        """The arrays that are read."""
        more = [self.apart, self.names, self.scale]
        return ["x", self.target, self.group, *(name for name in more if name is not None)]

    def _held(self, path: Path, columns: list[str]) -> dict[str, Array]:
        path = placed(path)
        if not path.exists():
            raise missing(path)
        held = read_npz(path, columns)
        for name in columns:
            if name not in held:
                there = array_names(path)
                close = near(name, there.split(", "))
                close = close if close.startswith("; nearest") else ""
                raise MetatlError(f"{path}: has no array {name!r}; it has {there}{close}")
        return held

    def _inputs(self, held: dict[str, Array], where: Path | str) -> Tensor:
        x = as_inputs(held["x"], f"{where}: ", self.channels)
        return x.float() if self.standardise else x

    def _scaled(self, held: dict[str, Array], x: Tensor) -> Tensor:
        if self.scale is None:
            return x
        by = held[self.scale].astype(np.float32)
        if by.shape != (x.shape[1],):
            raise MetatlError(
                f"{self.path}: {self.scale} is {list(by.shape)}; x has {x.shape[1]} channels, a number each"
            )
        return x.float() * torch.from_numpy(by).view(-1, *[1] * (x.dim() - 2))

    def _rows(self, held: dict[str, Array]) -> tuple[Tensor, Array, tuple[str, ...], Array]:
        """x and classes of the rows that stay, the classes' names, and which rows those are."""
        x = self._inputs(held, self.path)
        y, labels = as_labels(held[self.target], f"{self.path}: ")
        if len(y) != len(x):
            raise MetatlError(
                f"{self.path}: x has {len(x)} rows and {self.target} has {len(y)}; give one for each"
            )
        large = np.bincount(y.numpy(), minlength=len(labels)) >= self.smallest
        if not large.any():
            raise MetatlError(f"{self.path}: no class has {self.smallest} rows; lower smallest")
        kept, place = large[y.numpy()], np.cumsum(large) - 1
        called = self._called(held, labels)
        names = tuple(name for name, enough in zip(called, large.tolist(), strict=True) if enough)
        return self._scaled(held, x[torch.from_numpy(kept)]), place[y.numpy()[kept]], names, kept

    def _called(self, held: dict[str, Array], labels: list[Any]) -> list[str]:
        """The names of all labels, in order."""
        if self.names is None:
            return [str(one) for one in labels]
        called = [str(one).lower() for one in held[self.names].tolist()]
        if len(called) != len(labels):
            raise MetatlError(
                f"{self.path}: {self.names} has {len(called)} names for {len(labels)} labels; give one each"
            )
        return called

    def _column(self, held: dict[str, Array], name: str, rows: int) -> Array:
        """An array of names [n]; integers and strings alike."""
        found = held[name]
        if found.ndim != 1 or len(found) != rows or found.dtype.kind not in "biuUS":
            raise MetatlError(
                f"{self.path}: {name} is {found.dtype} {list(found.shape)}; it needs an integer or a string "
                f"for each of {rows} rows"
            )
        return np.char.decode(found) if found.dtype.kind == "S" else found.astype(np.str_)
