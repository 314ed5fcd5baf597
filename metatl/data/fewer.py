"""Tasks of another source of which only some support rows count: what a net that reads rows learns from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from metatl.data.counter import bits, number, uniform
from metatl.data.examples import Shown
from metatl.data.source import SPLITS, Source, Tasks, indices
from metatl.data.wrapped import WrappedData
from metatl.types import Episode, MetatlError, Split

_COUNT = 721


@final
@dataclass(frozen=True)
class Fewer(Source):
    """The first k support rows have weight 1, the others 0: k uniform from `least` to all, drawn by episode.

    So a net learns from tasks of every size, while meta-batches keep one shape. Support rows of a source of
    classes lie round by round.

    Args:
        of: the source.
        least: support rows that count at least.
    """

    of: Source
    least: int = 0

    @property
    def embedded(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the source is."""
        return self.of.embedded

    def load(self, device: str = "cpu") -> FewerData:
        """The source's data; MetatlError for a negative number of rows."""
        if self.least < 0:
            raise MetatlError(f"Fewer: least is {self.least}; give 0 support rows or more")
        return FewerData(self.of.load(device), self.least)


@final
@dataclass(frozen=True)
class FewerData(WrappedData):
    """Another source's data with weights of the support rows."""

    least: int

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The source's, with this."""
        return f"{self.of.name} with fewer rows"

    def shown(self, x: Tensor) -> Shown:
        """As the source shows it."""
        return self.of.shown(x)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """The source's episodes with weights [count, rows]."""
        drawn = self.of.draw(split, tasks, seed, first, count)
        if not isinstance(drawn, Episode) or drawn.support.weight is not None:
            raise MetatlError(
                f"Fewer takes episodes of one shape and without weights; {self.of.name}'s are not"
            )
        y, device = drawn.support.y, drawn.support.y.device
        most, key = y.shape[1], number(_COUNT, seed, SPLITS.index(split))
        words = bits(key, indices(first, count, device))
        kept = self.least + torch.floor(uniform(words) * (most - self.least + 1)).clamp(min=0)
        weight = (torch.arange(most, device=device) < kept[:, None]).float()
        return drawn._replace(support=drawn.support._replace(weight=weight))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the source's, and of from how many rows on: other rows that count are other episodes."""
        of = self.of.fingerprint(split, tasks, seed, count)
        return hashlib.sha256(f"{of} fewer {self.least}".encode()).hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """The source's, and from how many rows on."""
        told = self.of.describe()
        return {**told, "name": self.name, "fewer_from": self.least}
