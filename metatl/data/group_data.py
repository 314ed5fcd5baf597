"""Episodes whose task is a group, a person say: support and query come from different parts of its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from metatl.data.balance import Balance, balanced_epoch, part_of
from metatl.data.counter import bits, first_of_shuffle, number
from metatl.data.groups import Groups, GroupWords
from metatl.data.shown import Show
from metatl.data.source import SPLITS, Data, Kind, Tasks
from metatl.types import Batch, Episode, MetatlError, Split

_ORDER, _SIDE, _WINDOWS, _EPOCH = 301, 302, 303, 304


@final
@dataclass(frozen=True)
class GroupData(Data):
    """Groups as tasks, classes shared by all tasks, so never permuted; `way` plays no part.

    Every block of as many consecutive episodes as a split has groups visits each of them once, in an order of
    the block's own ("random") or by number ("enumerated"). Which of a group's sides is the support set is
    random. A task of meta_train joins `join` groups: a block visits as many of them as make whole tasks.
    """

    groups: Mapping[Split, Groups]
    labels: tuple[str, ...]
    facts: Mapping[str, Any]
    content: str
    shape: tuple[int, ...]
    join: int = 1
    kind: Kind = "classification"
    name: str = "groups"
    words: GroupWords = GroupWords()
    standard: tuple[Sequence[float], Sequence[float]] | None = None
    """Mean and deviation of every channel, where the source has standardised them."""
    show: Show | None = field(default=None, repr=False, compare=False)

    def scales(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """As every `Data`; 0 and 1 where windows are floats as they came."""
        if len(self.shape) != 2 or not all(part.x.is_floating_point() for part in self.groups.values()):
            return None
        return self.standard or ((0.0,) * self.shape[0], (1.0,) * self.shape[0])

    def outputs(self, tasks: Tasks) -> int:
        """One unit for each class, whatever `way` says."""
        return len(self.labels)

    def classes(self, split: Split) -> int:
        """The classes, in every split."""
        return len(self.labels)

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError if shot or query is beyond the smallest (group, side, class), naming it."""
        tasks.check(self.name)
        if split not in self.groups:
            raise MetatlError(f"{self.name} has no {self.words.one} in {split}: give it some")
        group, label, size = self.groups[split].smallest
        for word, wanted in (("shot", tasks.one.shot), ("query", tasks.one.query)):
            if wanted > size:
                one, _, row, part = self.words
                raise MetatlError(
                    f"{word} is {wanted}, but {one} {group} in {split} of {self.name} has {size} {row}s of "
                    f"{self.labels[label]!r} in one of two {part}s: lower {word}"
                )

    def group(self, split: Split, index: int, seed: int = 0, tasks: Tasks | None = None) -> Any:
        """The group that is episode `index` (the first of them, if it joins several)."""
        visits = self._visits(split, torch.tensor([index]))
        return self.groups[split].ids[int(self._visited(split, tasks or Tasks(), seed, visits)[0])]

    def plan(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Rows [count, join * shot, classes] of support and likewise of query; MetatlError as `check`."""
        self.check(split, tasks)
        part = self.groups[split]
        index = self._visits(split, torch.arange(first, first + count, device=part.x.device))
        group = self._visited(split, tasks, seed, index)
        side = bits(number(_SIDE, seed, SPLITS.index(split)), index) >> 63 & 1
        own = bits(number(_WINDOWS, seed, SPLITS.index(split)), index)[:, None]
        keys = bits(own, torch.arange(len(self.labels), device=part.x.device))

        def rows(side: Tensor, take: int) -> Tensor:
            taken = first_of_shuffle(keys, part.counts[group, side], part.most, take)
            found = (taken + part.offsets[group, side].unsqueeze(-1)).transpose(1, 2)
            joined = len(index) // count  # groups take turns, so that a part of the rows has them all
            turns = found.unflatten(0, (count, joined)).transpose(1, 2)
            return turns.reshape(count, joined * take, len(self.labels))

        return rows(side, tasks.one.shot), rows(1 - side, tasks.one.query)

    def class_names(self, split: Split, tasks: Tasks, seed: int, index: int) -> tuple[str, ...]:
        """Of every episode alike."""
        return self.labels

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Episodes first .. first + count - 1: x [count, classes * shot * join, *shape], y the classes."""
        part = self.groups[split]
        labels = torch.arange(len(self.labels), device=part.x.device)

        def batch(rows: Tensor) -> Batch:
            y = labels.repeat(count, rows.shape[1])
            return Batch(part.x[rows.reshape(count, -1)], y)

        support, query = self.plan(split, tasks, seed, first, count)
        return Episode(batch(support), batch(query))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the content and of the rows that episodes 0 .. count - 1 use."""
        digest = hashlib.sha256(self.content.encode() + repr((split, tasks)).encode())
        for rows in self.plan(split, tasks, seed, 0, count):
            digest.update(rows.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def rows(self, split: Split) -> Tensor:
        """All rows [n, *shape], group by group."""
        return self.groups[split].x

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows of all the split's groups, step * size onwards of an endless stream of shuffled epochs."""
        part, n = self.groups[split], len(self.groups[split].x)
        position = torch.arange(step * size, (step + 1) * size, device=part.x.device)
        epochs = range(step * size // n, ((step + 1) * size - 1) // n + 1)
        key = number(_EPOCH, seed, SPLITS.index(split))
        orders = [
            first_of_shuffle(torch.tensor(number(key, epoch), device=part.x.device), n, n, n)
            for epoch in epochs
        ]
        rows = torch.cat(orders)[position - epochs[0] * n]
        return Batch(part.x[rows], part.label[rows])

    def balanced(self, split: Split, size: int, seed: int, step: int, balance: Balance) -> Batch:
        """The same of epochs with as many rows of every class."""
        part, key = self.groups[split], number(_EPOCH, seed, SPLITS.index(split), 1)
        counts = part.label.bincount()
        length = int((counts > 0).sum() * (counts.max() if balance == "over" else counts[counts > 0].min()))

        def epoch(number_of: int) -> Tensor:
            return balanced_epoch(part.label, balance, number(key, number_of))

        rows = part_of(epoch, length, step * size, (step + 1) * size)
        return Batch(part.x[rows], part.label[rows])

    def describe(self) -> dict[str, Any]:
        """Groups and rows of each split, the facts given, the content fingerprint."""
        counts = {
            split: {self.words.many: list(part.ids), "examples": len(part.x)}
            for split, part in self.groups.items()
        }
        facts = dict(self.facts) | ({"group": self.join} if self.join > 1 else {})
        return {"name": self.name, "shape": list(self.shape), **counts, **facts, "content": self.content}

    def _visits(self, split: Split, index: Tensor) -> Tensor:
        """The visits to groups, a block having as many as there are groups, that make up each episode."""
        join, n = self.join if split == "meta_train" else 1, len(self.groups[split].ids)
        blocks, within = index // (n // join), index % (n // join)
        each = torch.arange(join, device=index.device)
        return ((blocks * n + within * join)[:, None] + each).flatten()

    def _visited(self, split: Split, tasks: Tasks, seed: int, index: Tensor) -> Tensor:
        """The place in the split of the group of each visit."""
        n = len(self.groups[split].ids)
        within = index % n
        if tasks.subsets == "enumerated":
            return within
        blocks = bits(number(_ORDER, seed, SPLITS.index(split)), index // n)
        return first_of_shuffle(blocks, n, n, n).gather(1, within[:, None])[:, 0]
