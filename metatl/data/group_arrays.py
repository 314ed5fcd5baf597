"""One's own data as tasks of groups: an npz file in which every row knows its person, hospital or sensor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from metatl.data.checked import Channels, as_inputs, as_labels
from metatl.data.division import listed, shares
from metatl.data.group_data import GroupData
from metatl.data.groups import GroupRows, Groups, Words
from metatl.data.labelled import Array, array_names, read_npz
from metatl.data.source import Source, device_of
from metatl.types import MetatlError, Split


@final
@dataclass(frozen=True)
class GroupArrays(Source):
    """An npz file with x [n, ...], y [n] (labels that all groups share) and whom each row comes from.

    A task is a group: its support and its query are rows of that group alone, with the same labels in every
    task. Groups without every class on both sides are left out, and named in `describe`.

    path: the file. group: name of the array [n] that says whom a row comes from. apart: name of the array [n]
    of what support and query never share (recordings, days, visits); without one they are two random halves
    of every class. fractions: shares of the groups for meta_train, meta_val and meta_test, after a shuffle by
    `seed`; or train, val, test: the groups of each split. join: groups that a task of meta_train joins.
    channels: where those of pictures lie, if their shape does not say.
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

    def load(self, device: str = "cpu") -> GroupData:
        """Read and divide; MetatlError for a file that is no such file, or a split that does not work out."""
        columns = ("x", "y", self.group, *([self.apart] if self.apart is not None else []))
        place, held = device_of(device), read_npz(Path(self.path), columns)
        for name in columns:
            if name not in held:
                there = array_names(Path(self.path))
                raise MetatlError(f"{self.path}: has no array {name!r}; it has {there}")
        x = as_inputs(held["x"], f"{self.path}: ", self.channels)
        y, labels = as_labels(held["y"], f"{self.path}: ")
        if len(y) != len(x):
            raise MetatlError(f"{self.path}: x has {len(x)} rows and y has {len(y)}; give one for each")
        label, group = y.numpy(), self._column(held, self.group, len(x))
        apart = self.apart
        part = _halves(group, label, self.seed) if apart is None else self._column(held, apart, len(x))
        rows, words = GroupRows(x, label, group, part), Words(part=apart or "half")
        own, rule = self._divided(sorted({*group.tolist()}))
        groups: dict[Split, Groups] = {
            split: Groups.of(rows, names, len(labels), place, self.path, words)
            for split, names in own.items()
            if names
        }
        if "meta_train" in groups and not 1 <= self.join <= len(groups["meta_train"].ids):
            raise MetatlError(f"{self.path}: join is {self.join}; give 1 to {len(groups['meta_train'].ids)}")
        left_out = {name for names in own.values() for name in names}
        left_out -= {name for some in groups.values() for name in some.ids}
        facts = {"split": rule, "labels": [str(one) for one in labels], "left_out": sorted(left_out)}
        facts |= {"group": self.group, "apart": apart, "seed": self.seed}
        told = hashlib.sha256(repr(own).encode())
        for name in columns:
            told.update(repr((name, held[name].dtype, held[name].shape)).encode())
            told.update(np.ascontiguousarray(held[name]).tobytes())
        return GroupData(
            groups,
            tuple(str(one) for one in labels),
            facts,
            told.hexdigest()[:16],
            tuple(x.shape[1:]),
            self.join,
            name=Path(self.path).stem,
            words=words,
        )

    def _column(self, held: dict[str, Array], name: str, rows: int) -> Array:
        """An array of names [n]; integers and strings alike."""
        found = held[name]
        if found.ndim != 1 or len(found) != rows or found.dtype.kind not in "biuUS":
            raise MetatlError(
                f"{self.path}: {name} is {found.dtype} {list(found.shape)}; it needs an integer or a string "
                f"for each of {rows} rows"
            )
        return np.char.decode(found) if found.dtype.kind == "S" else found.astype(np.str_)

    def _divided(self, known: list[str]) -> tuple[dict[Split, list[str]], str]:
        """The groups of each split, and by which rule."""
        named: dict[Split, tuple[str, ...]] = {
            "meta_train": self.train,
            "meta_val": self.val,
            "meta_test": self.test,
        }
        if any(named.values()):
            parts, rule = listed(known, named, self.path, "group"), "by group, as listed"
        else:
            parts = shares(len(known), self.fractions, self.seed, self.path, "groups")
            rule = "by group, shuffled"
        return {split: [known[place] for place in places] for split, places in parts.items()}, rule


def _halves(group: Array, label: Array, seed: int) -> Array:
    """[n]: 0 or 1, half of every class of every group each, at random."""
    order = np.random.default_rng([seed, 7]).permutation(len(group))
    half, seen = np.zeros(len(group), np.int64), dict[tuple[Any, Any], int]()
    for row in order.tolist():
        cell = group[row], label[row]
        half[row] = seen.get(cell, 0) % 2
        seen[cell] = seen.get(cell, 0) + 1
    return half
