"""Leaving out the tasks of a meta-batch whose numbers went wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.aggregates import Aggregate
from metatl.engines.engine import Engine, tasks_of
from metatl.loss import Loss
from metatl.types import Metrics, Params


def of_good(
    aggregate: Aggregate, engine: Engine, loss: Loss, variables: Params, tasks: Any, state: Params, calls: int
) -> tuple[Params, Metrics, Params, int]:
    """The aggregate over all tasks if it is finite, else over those whose own gradient is; how many are not.

    Tasks are looked at one by one only then. Where none is good, what all gave is given back: not finite.
    """
    whole = aggregate.over_tasks(engine, loss, variables, tasks, state, calls)
    if bool(_finite(*({n: leaf[None] for n, leaf in part.items()} for part in whole[:2]))):
        return *whole, 0
    each = engine.grads(loss, variables, tasks)
    good = _finite(each.gradients, each.metrics)
    bad = tasks_of(tasks) - int(good.sum())
    if not bool(good.any()):
        return *whole, bad
    gradients, metrics = (
        {n: leaf[good] for n, leaf in part.items()} for part in (each.gradients, each.metrics)
    )
    gradient, state = aggregate(gradients, each.losses[good], state)
    return gradient, tree.mean(metrics), state, bad


def _finite(gradients: Params, metrics: Metrics) -> Tensor:
    """[tasks]: whether the norm of a task's gradient, and every metric of it, is finite."""
    norms = [leaf.reshape(len(leaf), -1).norm(dim=1) for leaf in gradients.values()]
    norm = torch.stack(norms).norm(dim=0)
    return torch.stack([norm, *(value.to(norm.dtype) for value in metrics.values())]).isfinite().all(0)
