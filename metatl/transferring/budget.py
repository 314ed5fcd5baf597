"""Minutes: what fits cost, learned from those done, and which cells still fit in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from metatl.transferring.fit import FISHER_ROWS
from metatl.transferring.rows import Row

TRAINING = 4.0
"""A photo forward and back, in forward passes, until a row has been timed."""
KEPT = 0.03
"""Share of the minutes that is left for tables and pictures."""


@dataclass
class Budget:
    """The seconds that there are, and those that are gone.

    seconds: in all, those of earlier commands included; spent: by earlier commands; forward: of one photo;
    clock: monotonic seconds.
    """

    seconds: float
    spent: float = 0.0
    forward: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _pace: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def gone(self) -> float:
        """Seconds so far, of all commands."""
        return self.spent + self.clock() - self._began

    @property
    def left(self) -> float:
        """Seconds for further fits."""
        return self.seconds * (1 - KEPT) - self.gone

    def cost(self, name: str, row: Row, labelled: int, test: int, fits: float = 1.0) -> float:
        """Seconds that a cell will take, by this row's pace so far (or that of any other row, or a guess)."""
        pace = self._pace.get(name, max(self._pace.values(), default=1.0))
        return pace * self.forward * work(row, labelled, test, fits)

    def learn(self, name: str, row: Row, labelled: int, test: int, fits: float, seconds: float) -> None:
        """A cell took so long."""
        guess = self.forward * work(row, labelled, test, fits)
        if guess > 0:
            before = self._pace.get(name)
            pace = seconds / guess
            self._pace[name] = pace if before is None else 0.5 * (before + pace)


def work(row: Row, labelled: int, test: int, fits: float = 1.0) -> float:
    """What a cell takes in forward passes of one photo; 0 for rows on frozen features.

    fits: to the labelled rows, those of cross-validation included.
    """
    if row.moves == "head":
        return 0.0
    fisher = min(labelled, FISHER_ROWS) if row.mask is not None else 0
    return fits * TRAINING * (row.schedule.seen(labelled) + fisher) + test
