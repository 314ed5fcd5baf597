"""Tasks of another source under random linear maps of their inputs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from metatl.data.counter import bits, derived, normal, number
from metatl.data.source import SPLITS, Source, Tasks, indices
from metatl.data.wrapped import WrappedData
from metatl.types import Batch, Episode, MetatlError, Split

_MAP = 731


@final
@dataclass(frozen=True)
class RandomProjections(Source):
    """Every task's rows x become W x, W [size, d] with entries N(0, 1 / d) of the task's own.

    So no pixel means the same in two tasks, and a net that reads support rows has to learn how to learn
    (GPICL: Kirsch et al. 2022, arXiv 2212.04458, on MNIST). Labels are numbered anew by the source where its
    tasks number classes of their own. Nearly normal: sums of four uniform numbers (`counter.normal`).

    Args:
        of: the source; other ones of any shape fit the same net where `size` is the same.
        size: columns of W x.
        projections: different W in meta_train; None for one of each task's own. Few are learned by heart.
    """

    of: Source
    size: int = 64
    projections: int | None = None

    @property
    def embedded(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the source is."""
        return self.of.embedded

    def load(self, device: str = "cpu") -> RandomProjectionsData:
        """The source's data; MetatlError for no column, no map, or rows that are no real numbers."""
        if self.size < 1 or (self.projections is not None and self.projections < 1):
            raise MetatlError(
                f"RandomProjections: size is {self.size}, projections {self.projections}; give 1 or more "
                "columns, and 1 or more different maps (or leave projections out)"
            )
        return RandomProjectionsData(self.of.load(device), self)


@final
@dataclass(frozen=True)
class RandomProjectionsData(WrappedData):
    """Another source's data under maps drawn by task."""

    source: RandomProjections

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The size of a mapped row."""
        return (self.source.size,)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The source's, with this."""
        return f"{self.of.name} under random projections"

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """The source's episodes, x [count, rows, size]."""
        drawn = self.of.draw(split, tasks, seed, first, count)
        if not isinstance(drawn, Episode) or not isinstance(drawn.support.x, Tensor):
            raise MetatlError(f"RandomProjections maps episodes of one shape; {self.of.name}'s are not")
        maps = self._maps(split, seed, first, count, drawn.support.x.device)
        near, far = (
            part._replace(x=part.x.flatten(2).float() @ maps) for part in (drawn.support, drawn.query)
        )
        return drawn._replace(support=near, query=far)

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the source's, the size and the number of maps."""
        of = self.of.fingerprint(split, tasks, seed, count)
        told = f"{of} projected {self.source.size} {self.source.projections}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """The source's, all under one map: that of task 0."""
        drawn = self.of.batch(split, size, seed, step)
        return drawn._replace(x=drawn.x.flatten(1).float() @ self._maps(split, seed, 0, 1, drawn.x.device)[0])

    def describe(self) -> dict[str, Any]:
        """The source's, and how it is mapped."""
        told = {"projected_to": self.source.size, "projections": self.source.projections}
        return {**self.of.describe(), "name": self.name, **told}

    def _maps(self, split: Split, seed: int, first: int, count: int, device: torch.device) -> Tensor:
        """W transposed, [count, d, size] float32."""
        columns, size = torch.Size(self.of.shape).numel(), self.source.size
        which = indices(first, count, device)
        if split == "meta_train" and self.source.projections is not None:
            which, seed = which % self.source.projections, 0
        key = bits(number(_MAP, seed, SPLITS.index(split)), which)
        drawn = normal(bits(derived(key, 0)[:, None], torch.arange(columns * size, device=device)))
        return (drawn / columns**0.5).float().unflatten(1, (columns, size))
