"""One task after another: the reference that every law compares with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metatl.engines.engine import Each, Engine, TaskFunction
from metatl.engines.one_by_one import LossUnder, each_gradient, mapped, mean_gradient
from metatl.loss import Loss
from metatl.types import Metrics, Params


@dataclass(frozen=True)
class Loop(Engine):
    """A plain Python loop over tasks; the faster engine when one task fills the machine."""

    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task, one after another."""
        return mapped(fn, tasks)

    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """The sum of the tasks' gradients over their number."""
        return mean_gradient(_under(loss), variables, tasks)

    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """Every task's own, one after another."""
        return each_gradient(_under(loss), variables, tasks)


def _under(loss: Loss) -> LossUnder:
    held = loss.held
    return lambda variables: lambda one: loss(variables, held, one)
