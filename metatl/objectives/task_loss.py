"""The task's own loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, MetatlError, Params


def paired(output: Tensor, y: Tensor) -> Tensor:
    """Real targets in the shape of the outputs: [n] beside [n, 1] are n pairs, never n times n.

    Raises MetatlError for any other shape than the outputs'.
    """
    if y.dim() == output.dim() - 1 and output.shape[-1] == 1:
        y = y.unsqueeze(-1)
    if y.shape != output.shape:
        raise MetatlError(
            f"targets of shape {list(y.shape)} do not pair with outputs of shape {list(output.shape)}; give "
            "one target for each output"
        )
    return y


def nll(output: Tensor, y: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy (y integer) or the squared error (y real, mean over its axes)."""
    if y.is_floating_point():
        return F.mse_loss(output, paired(output, y))
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
