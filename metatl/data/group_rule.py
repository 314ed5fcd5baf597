"""The rule that cuts tasks of groups out of rows: which groups are in which split, and what lies apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metatl.data.division import listed, shares
from metatl.data.group_data import GroupData
from metatl.data.groups import GroupRows, Groups, GroupWords
from metatl.data.labelled import Array
from metatl.types import MetatlError, Split

Named = Mapping[Split, tuple[str, ...]]
"""Groups of each split, where they are listed."""


class GroupedColumns(NamedTuple):
    """x [n, ...], and of each row: class 0 .. , group, part; None for halves of every class at random."""

    x: Tensor
    label: Array
    group: Array
    part: Array | None


@dataclass(frozen=True)
class GroupRule:
    """What sources of groups have in common; the fields are those of GroupArrays."""

    path: str
    group: str
    apart: str | None
    fractions: tuple[float, float, float]
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    join: int

    @staticmethod
    def of(source: object) -> GroupRule:
        """That of a source with these fields."""
        return GroupRule(**{one.name: getattr(source, one.name) for one in fields(GroupRule)})

    @property
    def named(self) -> Named:
        """The groups of each split, as far as they are listed."""
        return {"meta_train": self.train, "meta_val": self.val, "meta_test": self.test}

    def divided(self, known: list[str]) -> tuple[dict[Split, list[str]], str]:
        """The groups of each split, and by which rule."""
        if any(self.named.values()):
            parts, rule = listed(known, self.named, self.path, "group"), "by group, as listed"
        else:
            parts = shares(len(known), self.fractions, self.seed, self.path, "groups")
            rule = "by group, shuffled"
        return {split: [known[place] for place in places] for split, places in parts.items()}, rule

    def data(
        self,
        columns: GroupedColumns,
        labels: tuple[str, ...],
        own: Mapping[Split, list[str]],
        facts: Mapping[str, Any],
        content: str,
        place: torch.device,
    ) -> GroupData:
        """Tasks of the groups of each split; content: the fingerprint of all that was read.

        MetatlError for a join that meta_train cannot serve, and where no group has every class on both sides.
        """
        x, label, group, part = columns
        if part is not None and len({*part.tolist()}) == 1:
            raise MetatlError(
                f"{self.path}: all rows have one {self.apart}, {part[0]!s:.40}, so that none lie apart; name "
                "another column, or none for halves at random"
            )
        words = GroupWords(part=self.apart or "half")
        rows = GroupRows(x, label, group, _halves(group, label, self.seed) if part is None else part)
        groups: dict[Split, Groups] = {
            split: Groups.of(rows, names, len(labels), place, self.path, words)
            for split, names in own.items()
            if names
        }
        if "meta_train" in groups and not 1 <= self.join <= len(groups["meta_train"].ids):
            raise MetatlError(f"{self.path}: join is {self.join}; give 1 to {len(groups['meta_train'].ids)}")
        left_out = {name for names in own.values() for name in names}
        left_out -= {name for some in groups.values() for name in some.ids}
        told = {**facts, "labels": list(labels), "left_out": sorted(left_out)}
        told |= {"group": self.group, "apart": self.apart, "seed": self.seed}
        shape, name = tuple(x.shape[1:]), Path(self.path).stem
        return GroupData(groups, labels, told, content, shape, self.join, name=name, words=words)


def fingerprint(said: object, *arrays: Array | None) -> str:
    """Of plain values and of those arrays that are there: the first 16 digits of SHA-256."""
    told = hashlib.sha256(repr(said).encode())
    for held in arrays:
        if held is not None:
            told.update(repr((held.dtype, held.shape)).encode() + np.ascontiguousarray(held).tobytes())
    return told.hexdigest()[:16]


def _halves(group: Array, label: Array, seed: int) -> Array:
    """[n]: 0 or 1, half of every class of every group each, at random."""
    order = np.random.default_rng([seed, 7]).permutation(len(group))
    half, seen = np.zeros(len(group), np.int64), dict[tuple[Any, Any], int]()
    for row in order.tolist():
        cell = group[row], label[row]
        half[row] = seen.get(cell, 0) % 2
        seen[cell] = seen.get(cell, 0) + 1
    return half
