"""One task after another: the reference that every law compares with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Adaptation
from metatl.engines.engine import (
    Engine,
    Outer,
    OuterGradient,
    TaskFunction,
    as_variables,
    check_guide,
    gradient_of,
    named_gradient,
    task,
    task_loss,
    tasks_of,
)
from metatl.net import Net
from metatl.types import Episode, Metrics, Transfer


@dataclass(frozen=True)
class Loop(Engine):
    """A plain Python loop over tasks; the faster engine when one task fills the machine."""

    def map(self, fn: TaskFunction, episodes: Episode) -> Any:
        """fn of every task, one after another."""
        results = [fn(task(episodes, i)) for i in range(tasks_of(episodes))]
        return tree.gather(results, torch.stack)

    def outer_gradient(
        self, net: Net, transfer: Transfer, adaptation: Adaptation, episodes: Episode, outer: Outer
    ) -> tuple[OuterGradient, Metrics]:
        """The sum of the tasks' gradients over their number."""
        check_guide(transfer)
        leafy, variables = as_variables(transfer, outer.learn_guide)
        fn, count = task_loss(net, adaptation, leafy, outer), tasks_of(episodes)
        sums: list[Tensor] = [torch.zeros_like(v) for v in variables]
        seen: list[Metrics] = []
        for i in range(count):
            loss, metrics = fn(task(episodes, i))
            sums = [s + g for s, g in zip(sums, gradient_of(loss / count, variables), strict=True)]
            seen.append(metrics)
        return named_gradient(sums, transfer, outer.learn_guide), tree.mean(tree.gather(seen, torch.stack))
