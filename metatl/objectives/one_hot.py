"""Squared error against one-hot labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class OneHot(Term):
    """weight * mean over rows and outputs of (output - onehot(y))^2: the loss of GTL's proof of concept.

    Outputs of classes that the task lacks are pulled to 0. Source: Nikolić, Andrić & Nikolić 2023, arXiv
    2303.16154 (the code beside it).

    Args:
        weight: factor.
    """

    weight: float = 1.0

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The squared error; raises MetatlError for real targets."""
        if losses.target_of(batch.y) != "classes":
            raise MetatlError("OneHot needs class labels; TaskLoss is the squared error for real targets")
        target = losses.is_class(output, batch.y)
        return self.weight * mean_over_rows((output - target.to(output.dtype)).square(), batch.weight)
