"""Rows of `torture.py` on intervals: that of a mean covers, and contradicts its test nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torture_row import Row, each

from metatl.evaluation import statistics

SMALL = (2, 3, 5, 10)
SAMPLES, PAIRS = 4_000, 30
LEAST, MOST = 0.935, 0.965
"""Of 4,000 samples, what an interval of 95 % covers but once in some 70,000 times."""


def covered(folder: Path, number: int) -> None:
    """Means of few normal values: the interval holds the true one in 95 % of the samples."""
    count, rng = SMALL[number % len(SMALL)], np.random.default_rng([number, 11])
    held = 0
    for values in rng.normal(3.0, 2.0, (SAMPLES, count)):
        found = statistics.estimate(values)
        assert found.ci95 is not None
        held += abs(found.mean - 3.0) <= found.ci95
    assert LEAST < held / SAMPLES < MOST, (count, held / SAMPLES)


def agreeing(folder: Path, number: int) -> None:
    """Pairs of few scores, ties and differences without variance among them: 0 is left out where p < 0.05."""
    rng = np.random.default_rng([number, 12])
    for _ in range(PAIRS):
        count = int(rng.choice(SMALL))
        one = rng.integers(0, 6, count) / 5
        other = one - 0.2 if rng.random() < 0.1 else rng.integers(0, 6, count) / 5
        found = statistics.paired(one, other)
        assert (found.ci95 is None) == (found.p is None), (one, other)
        if found.ci95 is not None:
            assert (abs(found.mean) > found.ci95) == statistics.shown(found.p), (one, other, found)


ROWS = (
    Row("intervals: of means of 2, 3, 5 and 10 values", 40, each(covered)),
    Row("intervals: beside the test of the same pairs", 400, each(agreeing)),
)
