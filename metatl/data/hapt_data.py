"""Episodes whose task is a person: support and query come from different recordings of that person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor

from metatl.data.counter import bits, first_of_shuffle, number
from metatl.data.hapt_people import People
from metatl.data.source import SPLITS, Data, Tasks
from metatl.types import Batch, Episode, MetatlError, Split

_ORDER, _SIDE, _WINDOWS, _EPOCH = 301, 302, 303, 304


@final
@dataclass(frozen=True)
class HaptData(Data):
    """People as tasks, activities as classes shared by all tasks, so never permuted; `way` plays no part.

    Every block of as many consecutive episodes as a split has people visits each of them once, in an order of
    the block's own ("random") or by number ("enumerated"). Which of a person's sides is the support set is
    random. A task of meta_train joins `group` people: a block visits as many of them as make whole groups.
    """

    people: Mapping[Split, People]
    activities: tuple[str, ...]
    facts: Mapping[str, Any]
    content: str
    shape: tuple[int, ...]
    group: int = 1
    kind: Literal["classification", "regression"] = "classification"
    name: str = "hapt"

    def outputs(self, tasks: Tasks) -> int:
        """One unit for each activity, whatever `way` says."""
        return len(self.activities)

    def classes(self, split: Split) -> int:
        """The activities, in every split."""
        return len(self.activities)

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError if shot or query is beyond the shortest (person, side, activity), naming it."""
        tasks.check()
        if split not in self.people:
            raise MetatlError(f"hapt has nobody in {split}: name val_subjects")
        person, activity, size = self.people[split].smallest
        for word, wanted in (("shot", tasks.shot), ("query", tasks.query)):
            if wanted > size:
                raise MetatlError(
                    f"{word} is {wanted}, but person {person} in {split} of hapt has {size} windows of "
                    f"{self.activities[activity]!r} in one of two recordings: lower {word}"
                )

    def subject(self, split: Split, index: int, seed: int = 0, tasks: Tasks | None = None) -> int:
        """The number of the person who is episode `index` (the first of the group, if it joins several)."""
        visits = self._visits(split, torch.tensor([index]))
        return self.people[split].ids[int(self._persons(split, tasks or Tasks(), seed, visits)[0])]

    def plan(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Rows [count, group * shot, activities] of support and likewise of query; MetatlError as `check`."""
        self.check(split, tasks)
        part = self.people[split]
        index = self._visits(split, torch.arange(first, first + count, device=part.x.device))
        person = self._persons(split, tasks, seed, index)
        side = bits(number(_SIDE, seed, SPLITS.index(split)), index) >> 63 & 1
        own = bits(number(_WINDOWS, seed, SPLITS.index(split)), index)[:, None]
        keys = bits(own, torch.arange(len(self.activities), device=part.x.device))

        def rows(side: Tensor, take: int) -> Tensor:
            taken = first_of_shuffle(keys, part.counts[person, side], part.most, take)
            found = (taken + part.offsets[person, side].unsqueeze(-1)).transpose(1, 2)
            people = len(index) // count  # of a group take turns, so that a part of the rows has them all
            grouped = found.unflatten(0, (count, people)).transpose(1, 2)
            return grouped.reshape(count, people * take, len(self.activities))

        return rows(side, tasks.shot), rows(1 - side, tasks.query)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Episodes first .. first + count - 1: x [count, activities * shot * group, *shape], y activities."""
        part = self.people[split]
        labels = torch.arange(len(self.activities), device=part.x.device)

        def batch(rows: Tensor) -> Batch:
            y = labels.repeat(count, rows.shape[1])
            return Batch(part.x[rows.reshape(count, -1)], y)

        support, query = self.plan(split, tasks, seed, first, count)
        return Episode(batch(support), batch(query))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the content and of the windows that episodes 0 .. count - 1 use."""
        digest = hashlib.sha256(self.content.encode() + repr((split, tasks)).encode())
        for rows in self.plan(split, tasks, seed, 0, count):
            digest.update(rows.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Windows of all the split's people, step * size onwards of an endless stream of shuffled epochs."""
        part, n = self.people[split], len(self.people[split].x)
        position = torch.arange(step * size, (step + 1) * size, device=part.x.device)
        epochs = range(step * size // n, ((step + 1) * size - 1) // n + 1)
        key = number(_EPOCH, seed, SPLITS.index(split))
        orders = [
            first_of_shuffle(torch.tensor(number(key, epoch), device=part.x.device), n, n, n)
            for epoch in epochs
        ]
        rows = torch.cat(orders)[position - epochs[0] * n]
        return Batch(part.x[rows], part.activity[rows])

    def describe(self) -> dict[str, Any]:
        """People and windows of each split, activities, the facts given, the content fingerprint."""
        counts = {
            split: {"subjects": list(part.ids), "examples": len(part.x)}
            for split, part in self.people.items()
        }
        facts = {"split": "by subject", "activities": list(self.activities), **self.facts}
        if self.group > 1:
            facts["group"] = self.group
        return {"name": self.name, "shape": list(self.shape), **counts, **facts, "content": self.content}

    def _visits(self, split: Split, index: Tensor) -> Tensor:
        """The visits to people, a block having as many as there are people, that make up each episode."""
        group, n = self.group if split == "meta_train" else 1, len(self.people[split].ids)
        blocks, within = index // (n // group), index % (n // group)
        each = torch.arange(group, device=index.device)
        return ((blocks * n + within * group)[:, None] + each).flatten()

    def _persons(self, split: Split, tasks: Tasks, seed: int, index: Tensor) -> Tensor:
        """The place in the split of the person of each visit."""
        n = len(self.people[split].ids)
        within = index % n
        if tasks.subsets == "enumerated":
            return within
        blocks = bits(number(_ORDER, seed, SPLITS.index(split)), index // n)
        return first_of_shuffle(blocks, n, n, n).gather(1, within[:, None])[:, 0]
