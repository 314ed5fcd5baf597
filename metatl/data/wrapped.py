"""Data made of another source's: what stays as it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from metatl.data.source import Data, Kind, Tasks
from metatl.types import Batch, Labels, Split


@dataclass(frozen=True)
class WrappedData(Data):
    """of: the data whose episodes, of one shape, are changed by whoever derives from this."""

    of: Data
    capturable: ClassVar[bool] = False

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The source's."""
        return self.of.shape

    @property
    def kind(self) -> Kind:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The source's."""
        return self.of.kind

    def outputs(self, tasks: Tasks) -> int:
        """The source's."""
        return self.of.outputs(tasks)

    def numbering(self, tasks: Tasks) -> Labels:
        """The source's."""
        return self.of.numbering(tasks)

    def classes(self, split: Split) -> int:
        """The source's."""
        return self.of.classes(split)

    def check(self, split: Split, tasks: Tasks) -> None:
        """As the source, whose tasks must have one shape."""
        self.of.check(split, tasks)
        tasks.check(self.name)

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """The source's."""
        return self.of.batch(split, size, seed, step)
