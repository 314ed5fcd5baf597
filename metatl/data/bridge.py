"""Rows between two domains: labelled ones of the sources mixed with unlabelled ones of the target."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from metatl.data.counter import number
from metatl.data.source import Data
from metatl.data.streams import Stream
from metatl.types import Batch, MetatlError

_KEY = 17


@dataclass(frozen=True)
class Bridge(Stream):
    """Row i lies between row i of the step's labelled source rows and row i of a `Domain` of the same size.

    y holds the source row's `label` [n] and its `share` [n] in the mixed row, from 0 to 1; what the rest is
    called, a term asks the net (`Bridged`). Labels of the target are never read.

    Args:
        size: rows a step, those of the learner's batch and of the stream `target`.
    """

    size: int = 64

    def check(self, data: Data) -> None:
        """Refuse an empty batch, data of one domain, and targets that are no classes."""
        what = type(self).__name__
        if self.size < 1:
            raise MetatlError(f"{what}: size is {self.size}; give 1 row a step or more")
        drawn = self.draw(data, 0, 0)
        if drawn.y["label"].is_floating_point():
            raise MetatlError(f"{what}: lies between rows of classes, and {data.name} has real targets")

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """The mixed rows."""
        source = data.batch("meta_train", self.size, seed, step)
        target = data.of_domain(None, self.size, seed, step)
        leaves = (source.x, target.x)
        if not all(isinstance(x, Tensor) and x.is_floating_point() for x in leaves):
            raise MetatlError(f"{type(self).__name__} mixes real values in one tensor; these rows are others")
        x, share = self.mixed(number(seed, _KEY, step), *leaves)
        return Batch(x, {"label": source.y, "share": share.to(x)})

    @abstractmethod
    def mixed(self, key: int, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [n, ...] between rows of both, and the share [n] of each that is the source's."""
