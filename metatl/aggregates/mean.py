"""The mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl import tree
from metatl.aggregates.aggregate import Aggregate
from metatl.engines.engine import Engine
from metatl.loss import Loss
from metatl.types import Metrics, Params


@dataclass(frozen=True)
class Mean(Aggregate):
    """1/k sum of g_i: the gradient of the mean loss, for which no task's own gradient is ever held."""

    capturable: ClassVar[bool] = True

    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """The mean over the leading axis."""
        return tree.mean(gradients), {}

    def over_tasks(
        self, engine: Engine, loss: Loss, variables: Params, tasks: Any, state: Params, calls: int = 1
    ) -> tuple[Params, Metrics, Params]:
        """The engine's mean gradient, which it may prepare for `calls` calls."""
        return *engine.grad(loss, variables, tasks, calls), {}
