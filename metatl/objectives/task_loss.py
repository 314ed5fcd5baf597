"""The task's own loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, Params


def nll(output: Tensor, y: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy (y integer) or the squared error (y real, mean over its axes)."""
    if y.is_floating_point():
        return F.mse_loss(output, y)
    # Gathering from log-softmax is what cross_entropy does; written out, it batches over tasks at any order.
    return -output.log_softmax(-1).gather(-1, y.unsqueeze(-1)).mean()


@dataclass(frozen=True)
class TaskLoss(Term):
    """weight * mean loss: cross-entropy for class labels, squared error for real targets.

    Args:
        weight: factor. Published MAML code sums over ways, which is weight = way.
    """

    weight: float = 1.0

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """weight * nll(output, y)."""
        return self.weight * nll(output, batch.y)
