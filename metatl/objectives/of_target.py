"""The loss of one target of several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl import tree
from metatl.data.targets import MISSING
from metatl.net import Net, Pass
from metatl.objectives.task_loss import TaskLoss, head
from metatl.objectives.term import FEATURES, Anchor, Seen, Term, layer_of, width_of
from metatl.types import Batch, MetatlError, Metrics, Params, Transfer


@dataclass(frozen=True)
class OfTarget(Term):
    """weight * term(output of this name, target of this name), over the rows that have the target.

    A class label of -1, or a row of real values with a NaN, is missing: such a row is of weight 0, which
    has no gradient; a batch without the target gives 0. A term for each target makes a learner of several
    tasks, and its `aggregate` one gradient of theirs. With `outputs`, any net learns several targets: each
    term has a linear head W h + b of its own on the net's features h, and what is carried is the net alone.

    Args:
        target: name of the target, and of the net's output.
        term: the loss; by default that of the target's kind.
        weight: factor, 0 or more.
        stream: where rows with this target are drawn: tasks may have rows of their own.
        outputs: of a linear head of the term's own (a class each, 1 for a real value, a level each of
            Quantile); for None the net gives the output of this name.
        layer: what that head sees: the `features` before the net's output layer, or what goes into the linear
            layer of this name.
    """

    target: str
    term: Term = TaskLoss()
    weight: float = 1.0
    stream: str = "source"
    outputs: int | None = None
    layer: str = FEATURES

    def __post_init__(self) -> None:
        """Raise MetatlError for a weight below 0, and for a head without an output."""
        if not self.weight >= 0:
            raise MetatlError(f"OfTarget {self.target!r}: weight is {self.weight}; give a number, 0 or more")
        if self.outputs is not None and self.outputs < 1:
            raise MetatlError(f"OfTarget {self.target!r}: outputs is {self.outputs}; give 1 or more")

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

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """Of a head of its own: weight [outputs, d], uniform in +-1 / sqrt(d), and bias [outputs], 0."""
        if self.outputs is None:
            return {}
        like, wide = transfer.params[net.head_weight], width_of(net, transfer, self.layer)
        drawn = torch.rand(self.outputs, wide, generator=torch.Generator().manual_seed(key)) * 2 - 1
        return {"weight": (drawn / math.sqrt(wide)).to(like), "bias": like.new_zeros(self.outputs)}

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The loss on the rows of its stream, 0-d."""
        return self(params, self._output(seen), seen.batches[self.stream], seen.anchor)

    def told(self, seen: Seen) -> Metrics:
        """The loss, as `loss of <target>`, and what the term tells of these rows."""
        output, batch = tree.apply(Tensor.detach, self._output(seen)), seen.batches[self.stream]
        value = self({}, output, batch, seen.anchor)
        found = {f"loss of {self.target}": value.detach()}
        y, there = present(batch.y[self.target])
        held = there > 0
        given = Pass(head(output, self.target)[held], torch.empty(0)), Batch(torch.empty(0), y[held])
        own = replace(seen, passes={"source": given[0]}, batches={"source": given[1]})
        return found | {f"{name} of {self.target}": one for name, one in self.term.told(own).items()}

    def _output(self, seen: Seen) -> Any:
        """By name: the net's, or that of a head of its own; MetatlError for a class without an output."""
        given = seen.passes[self.stream]
        if self.outputs is None:
            return given.output
        found = F.linear(layer_of(given, self.layer), seen.own["weight"], seen.own["bias"])
        y = seen.batches[self.stream].y
        y = y.get(self.target) if isinstance(y, Mapping) else None
        if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.device.type != "cpu" or not len(y):
            return {self.target: found}
        if int(y.max()) >= self.outputs:
            raise MetatlError(
                f"target '{self.target}' has the class {int(y.max())}, counted from 0, and its head has "
                f"{self.outputs} outputs; give it one for each class"
            )
        return {self.target: found}


def present(y: Tensor) -> tuple[Tensor, Tensor]:
    """Targets with 0 where they are missing, and whether rows have them: 1 or 0 [n]."""
    if y.is_floating_point():
        there = ~y.isnan().flatten(1).any(1) if y.dim() > 1 else ~y.isnan()
        return y.nan_to_num(nan=0.0), there.to(y.dtype)
    if y.dtype == torch.bool:
        return y, torch.ones(y.shape[0], device=y.device)
    return y.clamp(min=0), (y > MISSING).float()
