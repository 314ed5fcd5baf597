"""Poisson loss of counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class Poisson(Term):
    """weight * mean over rows and outputs of exp(output) - y output: outputs are logarithms of rates.

    The negative log-likelihood of counts y >= 0 (given as real values), up to log y!.

    Args:
        weight: factor.
    """

    weight: float = 1.0

    def check(self, y: Tensor) -> None:
        """Raise MetatlError for a target below 0 in y [n] or [n, d]."""
        if y.is_floating_point() and bool((y < 0).any()):
            raise MetatlError(f"Poisson needs targets of 0 or more; the least is {float(y.min()):g}")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss, NaN for a target below 0; raises MetatlError for class labels."""
        losses.needs(self, batch.y, "real")
        y = losses.paired(output, batch.y)
        y = torch.where(y >= 0, y, torch.nan)
        return self.weight * mean_over_rows(output.exp() - y * output, batch.weight)
