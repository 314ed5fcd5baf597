"""Running the tasks of a meta-batch one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from metatl import tree
from metatl.engines.engine import (
    Outer,
    OuterGradient,
    TaskFunction,
    as_variables,
    check_guide,
    derivatives,
    named_gradient,
    task,
    tasks_of,
)
from metatl.engines.ops_stock import unfused_attention
from metatl.types import Episode, Metrics, Transfer


def mapped(fn: TaskFunction, episodes: Episode) -> Any:
    """fn of every task, stacked along a leading task axis."""
    results = [fn(task(episodes, i)) for i in range(tasks_of(episodes))]
    return tree.gather(results, torch.stack)


def summed_gradient(
    loss_under: Callable[[Transfer], TaskFunction], transfer: Transfer, episodes: Episode, outer: Outer
) -> tuple[OuterGradient, Metrics]:
    """The sum of the tasks' gradients over their number, and mean metrics.

    loss_under: the outer loss and metrics of one task under a transfer whose entries are variables.
    """
    check_guide(transfer)
    leafy, variables = as_variables(transfer, outer.learn_guide)
    fn, count = loss_under(leafy), tasks_of(episodes)
    seen: list[Metrics] = []
    with unfused_attention(), derivatives(), torch.enable_grad():
        for i in range(count):
            loss, metrics = fn(task(episodes, i))
            if loss.requires_grad:
                (loss / count).backward()
            seen.append(metrics)
    sums = [torch.zeros_like(v) if v.grad is None else v.grad for v in variables]
    return named_gradient(sums, transfer, outer.learn_guide), tree.mean(tree.gather(seen, torch.stack))
