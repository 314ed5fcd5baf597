"""Leaving out the tasks of a meta-batch whose numbers went wrong."""

from __future__ import annotations

from collections.abc import Callable

import torch

from metatl import tree
from metatl.engines.engine import OuterGradient, task, tasks_of
from metatl.types import Episode, Metrics

Gradient = Callable[[Episode, int], tuple[OuterGradient, Metrics]]
"""(tasks, how often such a gradient will be asked for) -> their mean gradient and metrics."""


def mean_of_good(gradient: Gradient, tasks: Episode, calls: int) -> tuple[OuterGradient, Metrics, int]:
    """The gradient of all tasks where it is finite, else the mean over those whose own is; how many are not.

    Tasks are looked at one by one only then. Where none is good, what all gave is given back: not finite.
    """
    whole = gradient(tasks, calls)
    if _finite(*whole):
        return *whole, 0
    count = tasks_of(tasks)
    each = [gradient(task(tasks, slice(i, i + 1)), 1) for i in range(count)]
    good = [one for one in each if _finite(*one)]
    if not good:
        return *whole, count
    (params, guide), metrics = tree.gather(good, torch.stack)
    return OuterGradient(tree.mean(params), tree.mean(guide)), tree.mean(metrics), count - len(good)


def _finite(grads: OuterGradient, metrics: Metrics) -> bool:
    norm = tree.norm({**{f"params.{n}": g for n, g in grads.params.items()}, **grads.guide})
    return bool(
        torch.stack([norm.double(), *(value.double() for value in metrics.values())]).isfinite().all()
    )
