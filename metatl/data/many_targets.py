"""Rows with several targets by name, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.data.counter import number
from metatl.data.source import Data, Kind, Tasks
from metatl.types import Batch, Episode, MetatlError, Split


@dataclass(frozen=True)
class ManyTargets(Data):
    """Splits of rows x [n, ...] with targets {name: [n, ...]}; mini-batches are drawn without replacement.

    A missing target is a label of -1, or a row with NaN (`objectives.OfTarget`). There are no episodes:
    what is learned is one net for all targets.
    """

    name: str
    parts: Mapping[Split, Batch]
    kind: Kind = "regression"

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of a row."""
        return tuple(tree.first(self.parts["meta_train"].x).shape[1:])

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows of the step's place in its epoch; the epoch's order depends on (seed, epoch) alone."""
        if split not in self.parts:
            raise MetatlError(f"{self.name} has no rows of {split}")
        rows = tree.rows(self.parts[split].x)
        size = min(size, rows)
        each = rows // size
        order = torch.randperm(
            rows, generator=torch.Generator().manual_seed(number(seed, step // each, 0) % 2**63)
        )
        at = step % each * size
        return tree.at(self.parts[split], order[at : at + size])

    def rows(self, split: Split) -> Tensor:
        """All rows [n, *shape]."""
        return self.parts[split].x

    def classes(self, split: Split) -> int:
        """None that one output layer has."""
        return 0

    def outputs(self, tasks: Tasks) -> int:
        """Of no episode."""
        raise self._episodes()

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError: there are none."""
        raise self._episodes()

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Raise MetatlError: there are none."""
        raise self._episodes()

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """The split's `digest`."""
        return self.digest(split)

    def digest(self, split: Split) -> str:
        """16 hex digits over the split's tensors."""
        said = hashlib.sha256()
        for leaf in tree.leaves(self.parts[split]):
            said.update(leaf.cpu().contiguous().numpy().tobytes())
        return said.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Name and counts."""
        return {"name": self.name, "rows": {s: tree.rows(part.x) for s, part in self.parts.items()}}

    def _episodes(self) -> MetatlError:
        return MetatlError(f"{self.name} has several targets and gives no episodes; learn with Supervised")
