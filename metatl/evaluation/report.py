"""What an evaluation found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.scores import Score, of_protocol
from metatl.evaluation.statistics import estimate


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    scores: [episodes] float64, in episode order and the unit of the score itself (accuracies in [0, 1]);
    protocol: how they were taken; facts: what they cost, and which episodes `diverged`: predictions that are
    not finite are wrong throughout, and have no squared error (NaN).
    """

    method: str
    scores: NDArray[np.float64]
    protocol: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean score; NaN where an episode has none."""
        return float(self.scores.mean())

    @property
    def ci95(self) -> float | None:
        """Half of the 95 % interval of the mean (Student's t over episodes); None where there is none."""
        return estimate(self.scores).ci95 if bool(np.isfinite(self.scores).all()) else None

    @property
    def score(self) -> Score:
        """What the scores are: name, unit, which way is better."""
        return of_protocol(self.protocol)

    @property
    def diverged(self) -> list[int]:
        """The episodes whose predictions are not finite; none of a report of before these were counted."""
        return self.facts.get("diverged") or []


def counted(found: NDArray[np.float64], worst: float | None = 0.0) -> tuple[NDArray[np.float64], list[int]]:
    """Scores [episodes] as they count, and the episodes that diverged: those whose score is not finite.

    They count as the worst value of the score (accuracy: 0); one that has none (squared error: None) stays
    NaN, and so does everything where all diverged.
    """
    lost = ~np.isfinite(found)
    counts_as = np.nan if worst is None or lost.all() else worst
    return np.where(lost, counts_as, found), np.flatnonzero(lost).tolist()
