"""A test of whether two domains differ, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]
Question = Literal["P(X)", "P(Y)", "P(X given Y)", "P(Y given X)"]
PERMUTATIONS = 499
"""Smallest p of a permutation test: 1 / 500."""


@dataclass(frozen=True)
class Tested:
    """One test.

    name: of the test; question: what it asks to differ; p: under the hypothesis that nothing does, None
    where it could not be asked; effect: how large the difference is, in the words of `measure`; rows: of
    source and target that it looked at; why: it could not be asked.
    """

    name: str
    question: Question
    p: float | None
    effect: float | None
    measure: str
    rows: tuple[int, int] = (0, 0)
    why: str = ""

    def row(self, corrected: float | None) -> dict[str, Any]:
        """As a report holds it."""
        return {**vars(self), "rows": list(self.rows), "p_holm": corrected}


def permuted(found: float, others: Rows) -> float:
    """(1 + |others >= found|) / (1 + |others|): exact where domains can be exchanged; ties count."""
    slack = 1e-9 * max(1.0, abs(found))
    return float((1 + (others >= found - slack).sum()) / (1 + len(others)))
