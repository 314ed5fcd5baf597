"""All tasks of a chunk at once: vmap over the whole inner loop, plain autograd outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

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
from metatl.engines.ops import rerouted
from metatl.engines.ops_fuse import fuse
from metatl.engines.ops_stock import Batchable
from metatl.net import Net
from metatl.norm import check_norms
from metatl.types import Episode, MetatlError, Metrics, Transfer


@lru_cache(maxsize=16)
def _fused(module: nn.Module) -> nn.Module:
    return fuse(module)


@dataclass(frozen=True)
class Batched(Engine):
    """Tasks stacked along a leading axis, costly operations rerouted to task-batched kernels.

    Args:
        tasks_per_chunk: tasks that run at once; bounds memory at the same gradient. All of them for None.
    """

    tasks_per_chunk: int | None = None

    def __post_init__(self) -> None:
        """Raise MetatlError for a chunk without tasks."""
        if self.tasks_per_chunk is not None and self.tasks_per_chunk < 1:
            raise MetatlError(f"tasks_per_chunk is {self.tasks_per_chunk}; give 1 or more, or leave it out")

    def _chunks(self, episodes: Episode) -> list[Episode]:
        count = tasks_of(episodes)
        size = self.tasks_per_chunk or count
        return [task(episodes, slice(i, i + size)) for i in range(0, count, size)]

    def ready(self, net: Net) -> Net:
        """Runs of convolution, batch norm and ReLU as one function."""
        return replace(net, module=_fused(net.module))

    def map(self, fn: TaskFunction, episodes: Episode) -> Any:
        """fn of every task, chunk by chunk."""
        with Batchable():
            results = [vmap(fn)(chunk) for chunk in self._chunks(episodes)]
        return tree.gather(results, torch.cat)

    def outer_gradient(
        self, net: Net, transfer: Transfer, adaptation: Adaptation, episodes: Episode, outer: Outer
    ) -> tuple[OuterGradient, Metrics]:
        """The gradient of the sum over tasks, chunks added up, over their number."""
        check_guide(transfer)
        check_norms(net.module)
        leafy, variables = as_variables(transfer, outer.learn_guide)
        fn, count = task_loss(self.ready(net), adaptation, leafy, outer), tasks_of(episodes)
        sums: list[Tensor] | None = None
        seen: list[Metrics] = []
        for chunk in self._chunks(episodes):
            with rerouted() if outer.unroll == "full" else Batchable():
                losses, metrics = vmap(fn)(chunk)
            grads = gradient_of(losses.sum() / count, variables)
            sums = grads if sums is None else [s + g for s, g in zip(sums, grads, strict=True)]
            seen.append(metrics)
        assert sums is not None
        return named_gradient(sums, transfer, outer.learn_guide), tree.mean(tree.gather(seen, torch.cat))
