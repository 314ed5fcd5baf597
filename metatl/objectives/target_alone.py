"""Terms that look at the outputs for target rows alone, which nobody labelled."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from metatl.objectives.term import Anchor, Seen, Term
from metatl.types import Batch, Params


class TargetAlone(Term):
    """A value of the outputs: in a learner of the stream `target`, in an adaptation of the support rows.

    Labels are looked at in neither.
    """

    weight: float
    streams = ("target",)
    reads_labels = False

    @abstractmethod
    def value(self, output: Tensor, weight: Tensor | None) -> Tensor:
        """Of outputs [n, classes], 0-d; weight [n]: how often each row counts."""

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The value on the support rows of an adaptation."""
        return self.weight * self.value(output, batch.weight)

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The value on the target's rows, 0-d."""
        return self.weight * self.value(seen.passes["target"].output, seen.batches["target"].weight)
