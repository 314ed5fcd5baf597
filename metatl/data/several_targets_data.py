"""Several targets to learn from in mini-batches, and episodes of one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from metatl.data.class_data import ClassData
from metatl.data.many_targets import ManyTargets
from metatl.data.real_rows import RealRows
from metatl.data.source import Data, Kind, Tasks
from metatl.types import Batch, Episode, Labels, Ragged, Split


@final
@dataclass(frozen=True)
class SeveralTargetsData(Data):
    """learned: rows with all targets, for mini-batches; tasks: the same rows, with the target of episodes."""

    learned: ManyTargets
    tasks: ClassData | RealRows

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the file."""
        return self.tasks.name

    @property
    def kind(self) -> Kind:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the target of episodes."""
        return self.tasks.kind

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of a row."""
        return self.tasks.shape

    def outputs(self, tasks: Tasks) -> int:
        """Of an episode."""
        return self.tasks.outputs(tasks)

    def numbering(self, tasks: Tasks) -> Labels:
        """As the episodes'."""
        return self.tasks.numbering(tasks)

    def class_names(self, split: Split, tasks: Tasks, seed: int, index: int) -> tuple[str, ...] | None:
        """Of an episode's classes."""
        return self.tasks.class_names(split, tasks, seed, index)

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError where the split cannot serve such episodes."""
        self.tasks.check(split, tasks)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode | Ragged:
        """Episodes of the one target; raises MetatlError as `check`."""
        return self.tasks.draw(split, tasks, seed, first, count)

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the episodes, and of what mini-batches are drawn from."""
        return self.tasks.fingerprint(split, tasks, seed, count)

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows with every target that is learned, by name."""
        return self.learned.batch(split, size, seed, step)

    def rows(self, split: Split) -> Tensor:
        """All rows [n, *shape] of a split."""
        return self.learned.rows(split)

    def classes(self, split: Split) -> int:
        """None that one output layer has: targets are learned by name."""
        return 0

    def describe(self) -> dict[str, Any]:
        """As the episodes'; the content fingerprint is of every target that is learned too."""
        told = self.tasks.describe()
        digests = [self.learned.digest(split) for split in self.learned.parts]
        content = hashlib.sha256(repr((told["content"], digests)).encode()).hexdigest()[:16]
        return {**told, "content": content}
