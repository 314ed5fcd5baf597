"""Several quantiles at once, which cannot cross."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Seen, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Metrics, Params

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantiles(output: Tensor) -> Tensor:
    """[n, q], rising along q: the first output, then sums of softplus of the others; outputs [n, q].

    The first output is the lowest quantile, every other one the logit of a step upwards.
    """
    return torch.cat([output[:, :1], output[:, :1] + F.softplus(output[:, 1:]).cumsum(1)], 1)


def coverage(output: Tensor, y: Tensor) -> Tensor:
    """[q]: of each quantile the share of rows at or below it, which should be its level; y [n] or [n, 1]."""
    return (y.reshape(-1, 1) <= quantiles(output)).to(output.dtype).mean(0)


@dataclass(frozen=True)
class Quantile(Term):
    """weight * mean over rows and levels of max(tau u, (tau - 1) u), u = y - q_tau: pinball loss.

    The net has an output for each level; `quantiles` makes of them values that rise with the level, so that
    no two quantiles cross. Twice its integral over levels is the CRPS. Source: Koenker & Bassett 1978.

    Args:
        levels: rising, each between 0 and 1.
        weight: factor.
    """

    levels: tuple[float, ...] = LEVELS
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise MetatlError for levels that do not rise between 0 and 1."""
        held = (0.0, *self.levels, 1.0)
        if not self.levels or not all(low < high for low, high in pairwise(held)):
            raise MetatlError(f"Quantile: levels are {list(self.levels)}; give rising ones between 0 and 1")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for class labels, and for another number of outputs or of targets."""
        losses.needs(self, batch.y, "real")
        if output.shape[-1] != len(self.levels):
            raise MetatlError(
                f"Quantile: the net has {output.shape[-1]} outputs, and there are {len(self.levels)} levels; "
                "give it an output for each"
            )
        if batch.y.dim() > 2 or (batch.y.dim() == 2 and batch.y.shape[1] != 1):
            raise MetatlError("Quantile is of one real value a row; give each target a head of its own")
        off = batch.y.reshape(-1, 1) - quantiles(output)
        tau = losses.factors(self, "levels", self.levels, output, len(self.levels))
        return self.weight * mean_over_rows(torch.maximum(tau * off, (tau - 1) * off), batch.weight)

    def told(self, seen: Seen) -> Metrics:
        """`coverage`: the share of rows between the outermost two of several levels, which they say."""
        y, output = seen.batches["source"].y, seen.passes["source"].output.detach()
        if len(self.levels) < 2 or not len(y):
            return {}
        found, y = quantiles(output), y.reshape(-1, 1)
        inside = (y >= found[:, :1]) & (y <= found[:, -1:])
        return {"coverage": inside.to(output.dtype).mean()}
