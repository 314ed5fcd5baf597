"""A score as it is shown: its unit, its decimals, which end is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.lab.render.tables import plus_minus


@dataclass(frozen=True)
class Measure:
    """A score: its name, its unit (`%`: it is told times 100), whether more is better."""

    name: str
    unit: str
    higher: bool = True

    @staticmethod
    def of(protocol: Mapping[str, Any]) -> Measure:
        """That of a report's protocol."""
        name = str(protocol.get("score", "accuracy"))
        return Measure(name, "", higher=False) if name == "loss" else Measure(name, "%")

    @property
    def percent(self) -> bool:
        """Whether it is told times 100."""
        return self.unit == "%"

    @property
    def titled(self) -> str:
        """The name with its unit."""
        return f"{self.name}, %" if self.percent else self.name

    def scaled(self, scores: Any) -> NDArray[np.float64]:
        """Scores in the unit that is shown."""
        return (100.0 if self.percent else 1.0) * np.asarray(scores, np.float64)

    def said(self, mean: float, ci95: float | None = None) -> str:
        """A mean with half of its interval, in its unit; of scores that are scaled already."""
        return plus_minus(mean, ci95, self.places) + (" %" if self.percent else "")

    @property
    def places(self) -> int:
        """Decimals of a mean."""
        return 2 if self.percent else 4

    def worst_first(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from the worst to the best."""
        ordered = np.sort(scores)
        return ordered if self.higher else ordered[::-1]
