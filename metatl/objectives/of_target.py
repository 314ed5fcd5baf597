"""The loss of one target of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.objectives.task_loss import TaskLoss, head
from metatl.objectives.term import Anchor, Seen, Term
from metatl.types import Batch, MetatlError, Metrics, Params

MISSING = -1
"""The label of a row without one; real values are NaN there."""


@dataclass(frozen=True)
class OfTarget(Term):
    """weight * term(output of this name, target of this name), over the rows that have the target.

    A class label of -1, or a row of real values with a NaN, is missing: such a row is of weight 0, which
    has no
    gradient; a batch without the target gives 0. A term for each target makes a learner of several tasks, and
    its `aggregate` one gradient of theirs.

    Args:
        target: name of the target, and of the net's output.
        term: the loss; by default that of the target's kind.
        weight: factor, 0 or more.
        stream: where rows with this target are drawn: tasks may have rows of their own.
    """

    target: str
    term: Term = TaskLoss()
    weight: float = 1.0
    stream: str = "source"

    def __post_init__(self) -> None:
        """Raise MetatlError for a weight below 0."""
        if not self.weight >= 0:
            raise MetatlError(f"OfTarget {self.target!r}: weight is {self.weight}; give a number, 0 or more")

    @property
    def streams(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one that it looks at."""
        return (self.stream,)

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError where rows or net have no such target."""
        if not isinstance(batch.y, Mapping) or self.target not in batch.y:
            known = ", ".join(map(str, batch.y)) if isinstance(batch.y, Mapping) else "one without a name"
            raise MetatlError(f"rows have no target '{self.target}'; they have {known}")
        y, there = present(batch.y[self.target])
        rows = there if batch.weight is None else there * batch.weight
        some = (rows > 0).any()
        rows = torch.where(some, rows, torch.ones_like(rows))
        given = Batch(batch.x, y, rows)
        return self.weight * some * self.term(params, head(output, self.target), given, anchor)

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The loss on the rows of its stream, 0-d."""
        return self(params, seen.passes[self.stream].output, seen.batches[self.stream], seen.anchor)

    def told(self, seen: Seen) -> Metrics:
        """The loss, as `loss of <target>`."""
        output = tree.apply(Tensor.detach, seen.passes[self.stream].output)
        value = self({}, output, seen.batches[self.stream], seen.anchor)
        return {f"loss of {self.target}": value.detach()}


def present(y: Tensor) -> tuple[Tensor, Tensor]:
    """Targets with 0 where they are missing, and whether rows have them: 1 or 0 [n]."""
    if y.is_floating_point():
        there = ~y.isnan().flatten(1).any(1) if y.dim() > 1 else ~y.isnan()
        return y.nan_to_num(nan=0.0), there.to(y.dtype)
    if y.dtype == torch.bool:
        return y, torch.ones(y.shape[0], device=y.device)
    return y.clamp(min=0), (y > MISSING).float()
