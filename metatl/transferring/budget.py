"""Minutes: what fits cost, learned from those done, and which cells still fit in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from metatl.transferring.fit import FISHER_ROWS
from metatl.transferring.rows import Row

TRAINING = 4.0
"""A row forward and back, in forward passes, until a row has been timed."""
KEPT, LEAST = 0.03, 5.0
"""What is left for tables and pictures: a share of the minutes, and seconds at least."""
GROWTH = 10
"""A fit to more than so many times the rows of any that was timed is tried on fewer rows first."""
FEW = 100
"""Rows of a first trial."""
HARMLESS = 1e-3
"""A share of the seconds that there are with which nobody needs to be careful."""


@dataclass
class Budget:
    """The seconds that there are, and those that are gone.

    seconds: in all, those of earlier commands included; spent: by earlier commands; forward: of one row;
    source: rows of a source that every fit of a row of two domains reads; clock: monotonic seconds.
    """

    seconds: float
    spent: float = 0.0
    forward: float = 0.0
    source: int = 0
    clock: Callable[[], float] = time.monotonic
    _pace: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    _took: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    _both: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def gone(self) -> float:
        """Seconds so far, of all commands."""
        return self.spent + self.clock() - self._began

    @property
    def left(self) -> float:
        """Seconds for further fits."""
        return self.seconds - max(KEPT * self.seconds, LEAST) - self.gone

    def cost(self, name: str, row: Row, labelled: int, test: int, fits: float = 1.0) -> float:
        """Seconds that a cell will take: by the pace of the row's cell with the nearest number of rows.

        Before there is one, by that of the slowest other row, or a guess. On frozen features it is what a fit
        took with the nearest number of rows, in proportion to all rows that it reads where that was smaller;
        before there is one, without a label that of the slowest other row, else 0: a trial will tell.
        """
        if row.moves == "head":
            names = [name] if name in self._took else [] if labelled else self._both
            source = self.source if row.adaptation.streams else 0
            return fits * max((_like(self._took[one], labelled, source) for one in names), default=0.0)
        seen = [self._pace[name]] if name in self._pace else list(self._pace.values())
        near = [paces[_nearest(paces, labelled)] for paces in seen]
        return max(near, default=1.0) * self.forward * work(row, labelled, test, fits)

    def learn(self, name: str, row: Row, labelled: int, test: int, fits: float, seconds: float) -> None:
        """A cell took so long."""
        self._took.setdefault(name, {})[labelled] = seconds / fits
        self._both |= {name} if row.adaptation.streams else set()
        guess = self.forward * work(row, labelled, test, fits)
        if guess > 0:
            self._pace.setdefault(name, {})[labelled] = seconds / guess

    def knows(self, name: str) -> bool:
        """Whether any cell of the row was timed."""
        return name in self._took

    def trial(self, name: str, labelled: int, seconds: float) -> int:
        """Rows of the next trial before so many are fitted, 0 where nearly as many were.

        Nor is one needed where even time that grows with the cube of the rows is little of these seconds.
        """
        took = self._took.get(name, {})
        most = max((rows for rows in took if rows <= labelled), default=0)
        if not most:
            return min(FEW, labelled)
        if labelled <= GROWTH * most or took[most] * (labelled / most) ** 3 < HARMLESS * seconds:
            return 0
        return min(GROWTH * most, math.ceil(labelled / GROWTH))


def _nearest(known: dict[int, float], rows: int) -> int:
    """The number of rows that is nearest in proportion."""
    return min(known, key=lambda n: abs(math.log(max(n, 1) / max(rows, 1))))


def _like(took: dict[int, float], rows: int, source: int) -> float:
    """Seconds of a fit, from those with the nearest number of rows beside the source's."""
    near = _nearest(took, rows)
    return took[near] * max(1.0, (rows + source) / max(near + source, 1))


def work(row: Row, labelled: int, test: int, fits: float = 1.0) -> float:
    """What a cell takes in forward passes of one row; 0 for rows on frozen features.

    fits: to the labelled rows, those of cross-validation included.
    """
    if row.moves == "head":
        return 0.0
    fisher = min(labelled, FISHER_ROWS) if row.mask is not None else 0
    return fits * TRAINING * (row.schedule.seen(labelled) + fisher) + test
