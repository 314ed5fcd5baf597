"""The loss of one target of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from metatl import tree
from metatl.net import Net
from metatl.objectives.named_target import check_outputs, drawn_layer, having, of_rows
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
        layer: what that head sees: the net's `features`, or what goes into the linear layer of this name.
    """

    target: str
    term: Term = TaskLoss()
    weight: float = 1.0
    stream: str = "source"
    outputs: int | None = None
    layer: str = FEATURES

    def __post_init__(self) -> None:
        """Raise MetatlError for a weight below 0, and for a head without an output."""
        if not self.weight >= 0 or (self.outputs is not None and self.outputs < 1):
            said = f"weight is {self.weight}, outputs is {self.outputs}"
            raise MetatlError(f"OfTarget {self.target!r}: {said}; give 0 or more, and 1 output or more")

    @property
    def streams(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one that it looks at."""
        return (self.stream,)

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError where rows or net have no such target."""
        given, some = having(batch, self.target)
        return self.weight * some * self.term(params, head(output, self.target), given, anchor)

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """Of a head of its own: weight [outputs, d], uniform in +-1 / sqrt(d), and bias [outputs], 0."""
        if self.outputs is None:
            return {}
        wide, like = width_of(net, transfer, self.layer), net.head_like(transfer.params)
        return drawn_layer(self.outputs, wide, like, key)

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The loss on the rows of its stream, 0-d."""
        return self(params, self._output(seen), seen.batches[self.stream], seen.anchor)

    def there(self, seen: Seen) -> Tensor:
        """Whether a row of its stream, of a weight above 0, has the target."""
        return having(seen.batches[self.stream], self.target)[1]

    def told(self, seen: Seen) -> Metrics:
        """The loss, as `loss of <target>`, and what the term tells of these rows."""
        output, batch = tree.apply(Tensor.detach, self._output(seen)), seen.batches[self.stream]
        own = of_rows(seen, head(output, self.target), batch.y[self.target])
        told = {"loss": self({}, output, batch, seen.anchor).detach(), **self.term.told(own)}
        return {f"{name} of {self.target}": one for name, one in told.items()}

    def _output(self, seen: Seen) -> Any:
        """By name: the net's, or that of a head of its own; MetatlError for a class without an output."""
        given = seen.passes[self.stream]
        if self.outputs is None:
            return given.output
        check_outputs(seen.batches[self.stream].y, self.target, self.outputs)
        return {self.target: F.linear(layer_of(given, self.layer), seen.own["weight"], seen.own["bias"])}
