"""Rows with real targets as episodes: some rows are labelled, others judge."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.counter import bits
from metatl.data.episodes import class_rows, key_of
from metatl.data.source import Data, Kind, Tasks, indices
from metatl.types import Batch, Episode, MetatlError, Split


@final
@dataclass(frozen=True)
class RealRows(Data):
    """Splits of rows x [n, ...] with values y [n, d]; `way` and `subsets` play no part.

    An episode has shot and query rows of its split, drawn without replacement.
    """

    name: str
    parts: Mapping[Split, Batch]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    kind: Kind = "regression"

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of a row."""
        return tuple(next(iter(self.parts.values())).x.shape[1:])

    def outputs(self, tasks: Tasks) -> int:
        """The values of a row."""
        return next(iter(self.parts.values())).y.shape[1]

    def classes(self, split: Split) -> int:
        """None: this is regression."""
        return 0

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError for more rows than the split has."""
        tasks.check(self.name)
        rows, shape = len(self._part(split).x), tasks.one
        if shape.shot + shape.query > rows:
            raise MetatlError(
                f"shot + query is {shape.shot + shape.query}, but {split} of {self.name} has {rows} rows: "
                "lower shot or query"
            )

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """x [count, shot or query, *shape] and y [count, shot or query, d]; raises MetatlError as `check`."""
        self.check(split, tasks)
        rows, part = self._rows(split, tasks, seed, first, count), self._part(split)
        support, query = rows.split([tasks.one.shot, tasks.one.query], 1)
        return Episode(Batch(part.x[support], part.y[support]), Batch(part.x[query], part.y[query]))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the content and the rows of episodes 0 .. count - 1."""
        digest = hashlib.sha256(self.content.encode() + repr((split, tasks)).encode())
        rows = self._rows(split, tasks, seed, 0, count)
        digest.update(rows.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def content(self) -> str:
        """The fingerprint of the data itself."""
        digest = hashlib.sha256()
        for split, part in self.parts.items():
            digest.update(split.encode())
            for leaf in (part.x, part.y):
                digest.update(repr((leaf.dtype, leaf.shape)).encode())
                digest.update(leaf.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows of the step's own draw, without replacement within it."""
        part = self._part(split)
        rows = self._drawn(split, min(size, len(part.x)), seed, step, 1)[0]
        return Batch(part.x[rows], part.y[rows])

    def rows(self, split: Split) -> Tensor:
        """All rows [n, *shape]."""
        return self._part(split).x

    def describe(self) -> dict[str, Any]:
        """Name and counts, the facts given, the content fingerprint."""
        counts = {split: {"rows": len(part.x)} for split, part in self.parts.items()}
        return {"name": self.name, "shape": list(self.shape), **counts, **self.facts, "content": self.content}

    def _rows(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Tensor:
        """[count, shot + query]."""
        return self._drawn(split, tasks.one.shot + tasks.one.query, seed, first, count)

    def _drawn(self, split: Split, take: int, seed: int, first: int, count: int) -> Tensor:
        x = self._part(split).x
        places = torch.arange(len(x), device=x.device)
        bank = Bank.sorted_by_class(places[:, None], [len(x)], ["row"])
        own = bits(key_of(seed, split), indices(first, count, x.device))
        return class_rows(bank, own, torch.zeros_like(own)[:, None], take)[0][:, 0]

    def _part(self, split: Split) -> Batch:
        if split not in self.parts:
            raise MetatlError(f"{self.name} has no {split}: it has {', '.join(self.parts)}")
        return self.parts[split]
