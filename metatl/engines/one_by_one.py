"""Running the tasks of a meta-batch one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.engines.engine import Each, TaskFunction, as_leaves, derivatives, gradient_of, task, tasks_of
from metatl.engines.fast.stock import unfused_attention
from metatl.types import Metrics, Params

LossUnder = Callable[[Params], TaskFunction]
"""Variables -> (one task -> its loss and metrics)."""


def mapped(fn: TaskFunction, tasks: Any) -> Any:
    """fn of every task, stacked along a leading task axis."""
    return tree.gather([fn(task(tasks, i)) for i in range(tasks_of(tasks))], torch.stack)


def mean_gradient(loss_under: LossUnder, variables: Params, tasks: Any) -> tuple[Params, Metrics]:
    """The sum of the tasks' gradients over their number, and mean metrics."""
    leaves = as_leaves(variables)
    fn, count = loss_under(leaves), tasks_of(tasks)
    seen: list[Metrics] = []
    with unfused_attention(), derivatives(), torch.enable_grad():
        for i in range(count):
            loss, metrics = fn(task(tasks, i))
            if loss.requires_grad:
                (loss / count).backward()
            seen.append(metrics)
    sums = {name: torch.zeros_like(v) if v.grad is None else v.grad for name, v in leaves.items()}
    return sums, tree.mean(tree.gather(seen, torch.stack))


def each_gradient(loss_under: LossUnder, variables: Params, tasks: Any) -> Each:
    """Every task's own gradient, loss and metrics."""
    leaves = as_leaves(variables)
    fn = loss_under(leaves)

    def one(of: Any) -> tuple[Params, Tensor, Metrics]:
        loss, metrics = fn(of)
        found = gradient_of(loss, list(leaves.values()))
        return dict(zip(leaves, found, strict=True)), loss.detach(), metrics

    with unfused_attention(), derivatives(), torch.enable_grad():
        return Each(*mapped(one, tasks))
