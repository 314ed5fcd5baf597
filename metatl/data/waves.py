"""What stands beside the columns of a table and is no column itself: a signal for each row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


class Signals(ABC):
    """A signal for each row, of which a net reads all, and the table's columns tell some statistics."""

    unit: ClassVar[str]
    """What one is called: window, recording."""

    @property
    def held(self) -> Any:
        """All of them at once, as a net's preparation takes them, where they are in memory; else None."""
        return None

    @abstractmethod
    def raw(self, place: int) -> Any:
        """One as a net's preparation takes it; raises MetatlError where it cannot be read."""

    @abstractmethod
    def digest(self, place: int) -> str:
        """SHA-256 of one's content; raises MetatlError where it cannot be read."""

    @abstractmethod
    def shown(self, place: int) -> list[tuple[str, str]]:
        """What a report says of one, by name."""

    @abstractmethod
    def take(self, places: Any) -> Self:
        """Those of an index or a mask, in its order."""

    @abstractmethod
    def joined(self, others: Sequence[Any]) -> Self:
        """These and others of the kind, one after the other; MetatlError where they do not fit."""
