"""What an aggregate is: the gradients of several losses, made into one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from metatl import tree
from metatl.engines.engine import Engine
from metatl.loss import Loss
from metatl.types import Metrics, Params


class Aggregate(ABC):
    """(gradients [k, ...], losses [k], state) -> gradient, state; of k losses with shared variables.

    The losses may be those of the tasks of a meta-batch. state: tensors that it goes on from in the next
    step, checkpointed with the learner's; a fresh dict comes back, never the one that was given.
    """

    capturable: ClassVar[bool] = False
    """Whether it reads no values, so that a whole step can be captured as one CUDA graph."""

    def init(self, key: int) -> Params:
        """The state before the first step; key: of whatever it draws at random."""
        return {}

    @abstractmethod
    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """One gradient by variable, and the new state."""

    def over_tasks(
        self, engine: Engine, loss: Loss, variables: Params, tasks: Any, state: Params, calls: int = 1
    ) -> tuple[Params, Metrics, Params]:
        """The aggregate of the tasks' gradients, their mean metrics, and the new state."""
        each = engine.grads(loss, variables, tasks)
        gradient, state = self(each.gradients, each.losses, state)
        return gradient, tree.mean(each.metrics), state
