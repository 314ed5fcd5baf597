"""The task's own loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


def nll(output: Any, y: Any, weight: Tensor | None = None) -> Tensor:
    """Mean over rows of the cross-entropy (y integer), the binary one (y bool) or the squared error (y real).

    Means over a row's labels, values or pixels too; what y looks like is said in `losses`. weight [n]: sum of
    weight * loss over the sum of weights. Of a mapping of targets, the sum over its names of the losses of
    the outputs of the same names; raises MetatlError for a target without an output, and for one whose shape
    does not pair with it.
    """
    if isinstance(y, Mapping):
        found = [nll(head(output, name), part, weight) for name, part in y.items()]
        return sum(found[1:], found[0])
    if y.is_floating_point() and weight is None:
        return F.mse_loss(output, losses.paired(output, y))
    return mean_over_rows(row_loss(y)(output, y), weight)


def row_loss(y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of such targets, row by row: (output [n, ...], y) to [n, ...]."""
    if y.is_floating_point():
        return losses.squared_error
    return losses.binary_cross_entropy if y.dtype == torch.bool else losses.cross_entropy


def head(output: Any, name: str) -> Any:
    """The output called `name` of a net with several; raises MetatlError naming those that there are."""
    if not isinstance(output, Mapping) or name not in output:
        known = ", ".join(map(str, output)) if isinstance(output, Mapping) else "one without a name"
        raise MetatlError(f"there is a target '{name}' but no such output; the net gives {known}")
    return output[name]


@dataclass(frozen=True)
class TaskLoss(Term):
    """weight * mean loss: cross-entropy for class labels, squared error for real targets.

    Of several labels at once (y bool) the binary cross-entropy of each, mean over them; of a label a pixel
    the mean over pixels.

    Args:
        weight: factor. Published MAML code sums over ways, which is weight = way.
    """

    weight: float = 1.0

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """weight * nll(output, y)."""
        return self.weight * nll(output, batch.y, batch.weight)
