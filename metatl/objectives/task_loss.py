"""The task's own loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from metatl.objectives.term import Anchor, Term, mean_over_rows
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


def nll(output: Any, y: Any, weight: Tensor | None = None) -> Tensor:
    """Mean over rows of the cross-entropy (y integer) or the squared error (y real, mean over its axes).

    weight [n]: sum of weight * loss over the sum of weights. Of a mapping of targets, the sum over its names
    of the losses of the outputs of the same names; raises MetatlError for a target without an output.
    """
    if isinstance(y, Mapping):
        losses = [nll(head(output, name), part, weight) for name, part in y.items()]
        return sum(losses[1:], losses[0])
    if y.is_floating_point():
        y = paired(output, y)
        return F.mse_loss(output, y) if weight is None else mean_over_rows((output - y).square(), weight)
    # Gathering from log-softmax is what cross_entropy does; written out, it batches over tasks at any order.
    return mean_over_rows(-output.log_softmax(-1).gather(-1, y.unsqueeze(-1)), weight)


def head(output: Any, name: str) -> Any:
    """The output called `name` of a net with several; raises MetatlError naming those that there are."""
    if not isinstance(output, Mapping) or name not in output:
        known = ", ".join(map(str, output)) if isinstance(output, Mapping) else "one without a name"
        raise MetatlError(f"there is a target '{name}' but no such output; the net gives {known}")
    return output[name]


@dataclass(frozen=True)
class TaskLoss(Term):
    """weight * mean loss: cross-entropy for class labels, squared error for real targets.

    Args:
        weight: factor. Published MAML code sums over ways, which is weight = way.
    """

    weight: float = 1.0

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """weight * nll(output, y)."""
        return self.weight * nll(output, batch.y, batch.weight)
