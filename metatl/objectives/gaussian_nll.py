"""The negative log-likelihood of real targets under a mean and a variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.predictive import Predictive
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class GaussianNLL(Term):
    """weight * mean over rows and outputs of 1/2 ((y - m)^2 / v + log v + log 2 pi), m and v of `Predictive`.

    Args:
        weight: factor.
    """

    weight: float = 1.0

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for class labels, and for outputs without a variance."""
        losses.needs(self, batch.y, "real")
        if not isinstance(output, Predictive):
            raise MetatlError("GaussianNLL: these outputs have no variance; learn through ClosedForm")
        return self.weight * mean_over_rows(output.nll(batch.y), batch.weight)
