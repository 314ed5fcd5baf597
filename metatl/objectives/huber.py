"""Huber loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class Huber(Term):
    """weight * mean over rows and outputs of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2).

    e = output - y: targets far off pull no harder than by delta. Source: Huber 1964.

    Args:
        weight: factor.
        delta: where it goes from the square to the absolute value, in the targets' unit.
    """

    weight: float = 1.0
    delta: float = 1.0

    def __post_init__(self) -> None:
        """Raise MetatlError for a delta that is not above 0."""
        if not 0.0 < self.delta < math.inf:
            raise MetatlError(f"Huber: delta is {self.delta}; give a finite number above 0")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for class labels."""
        losses.needs(self, batch.y, "real")
        error = output - losses.paired(output, batch.y)
        near = error.clamp(-self.delta, self.delta)
        return self.weight * mean_over_rows(near * (error - near / 2), batch.weight)
