"""A quantity as it is shown: its unit, its decimals, which end is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.scores import of_protocol
from metatl.lab.render.tables import plus_minus


@dataclass(frozen=True)
class Measure:
    """A quantity: name, unit (`%`: told times 100), decimals of a mean, whether more is better."""

    name: str
    unit: str = ""
    places: int = 4
    higher: bool = True

    @staticmethod
    def of(protocol: Mapping[str, Any]) -> Measure:
        """The score of a report's protocol."""
        score = of_protocol(protocol)
        return Measure(score.name, score.unit, score.places, score.better == "higher")

    @property
    def titled(self) -> str:
        """The name with its unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def scaled(self, scores: Any) -> NDArray[np.float64]:
        """Scores in the unit that is shown."""
        return (100.0 if self.unit == "%" else 1.0) * np.asarray(scores, np.float64)

    def said(self, mean: float, ci95: float | None = None) -> str:
        """A mean with half of its interval, in its unit; of scores that are scaled already."""
        return plus_minus(mean, ci95, self.places) + (f" {self.unit}" if self.unit else "")

    def worst_first(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from the worst to the best."""
        ordered = np.sort(scores)
        return ordered if self.higher else ordered[::-1]
