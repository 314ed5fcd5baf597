"""All tasks of a chunk at once: vmap over the whole inner loop, plain autograd outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metatl import tree
from metatl.engines.chunk import Chunk, Recordings, at_once, over_tasks, own, routes
from metatl.engines.chunk_size import Fitting
from metatl.engines.engine import Each, Engine, TaskFunction, task, tasks_of
from metatl.engines.fast.fuse import fuse
from metatl.engines.kept import kept
from metatl.loss import Loss
from metatl.net import Net
from metatl.types import MetatlError, Metrics, Params

_PAYS = 200
"""Outer gradients from which on a recording saved more than it took, for every net tried (0.5 s for an MLP,
10 s for five steps of a Conv4)."""


@lru_cache(maxsize=4)
def _fused(module: nn.Module) -> nn.Module:
    return fuse(module)


@dataclass(frozen=True)
class Batched(Engine):
    """Tasks stacked along a leading axis, costly operations rerouted to task-batched kernels.

    Args:
        tasks_per_chunk: tasks that run at once; bounds memory at the same gradient. By default (None) all of
            them on a GPU and in `map`; on a CPU as many as an outer gradient holds in about 256 MB.
        record: whether an outer gradient's operations are recorded once for each shape of meta-batch and
            replayed without Python, vmap and autograd: the same gradient up to rounding. By default (None)
            for 200 outer steps or more of a net and an adaptation made of torch's and this package's classes;
            what you wrote yourself must not read values (`.item()`, a branch on a tensor) nor change between
            calls to be recorded.
        compile: the recording is compiled (torch's inductor; needs a C++ compiler, or a GPU): half a minute
            or more at the first step, then many times faster where a task's operations are small.
    """

    tasks_per_chunk: int | None = None
    record: bool | None = None
    compile: bool = False
    capturable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise MetatlError for a chunk without tasks."""
        if self.tasks_per_chunk is not None and self.tasks_per_chunk < 1:
            raise MetatlError(f"tasks_per_chunk is {self.tasks_per_chunk}; give 1 or more, or leave it out")

    @kept
    def _recordings(self) -> Recordings:
        return Recordings(self.compile)

    @kept
    def _fitting(self) -> Fitting:
        return Fitting()

    def _chunks(self, tasks: Any, size: int | None = None) -> list[Any]:
        count = tasks_of(tasks)
        size = self.tasks_per_chunk or size or count
        if size >= count:
            return [tasks]
        return [task(tasks, slice(i, i + size)) for i in range(0, count, size)]

    def ready(self, net: Net) -> Net:
        """Runs of convolution, batch norm and ReLU as one function."""
        return replace(net, module=_fused(net.module))

    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task, chunk by chunk."""
        with routes(tasks, twice=False), at_once():
            results = [over_tasks(fn, chunk) for chunk in self._chunks(tasks)]
        return results[0] if len(results) == 1 else tree.gather(results, torch.cat)

    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """The gradient of the sum over tasks, chunks added up, over their number."""
        loss = loss.ready(self.ready)
        record = self.compile or self.record
        if record is None:
            record = calls >= _PAYS and own(loss)
        sums: list[Tensor] | None = None
        seen: list[Metrics] = []
        for some in self._chunks(tasks, self._fitted(loss, variables, tasks)):
            chunk = Chunk(loss, loss.held, variables, some, tasks_of(tasks))
            grads, metrics = self._recordings.gradient(chunk) if record else chunk.gradient()
            sums = grads if sums is None else [s + g for s, g in zip(sums, grads, strict=True)]
            seen.append(metrics)
        assert sums is not None
        metrics = seen[0] if len(seen) == 1 else tree.gather(seen, torch.cat)
        return dict(zip(variables, sums, strict=True)), tree.mean(metrics)

    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """Every task's own, chunk by chunk; never recorded."""
        loss = loss.ready(self.ready)
        chunks = self._chunks(tasks, self._fitted(loss, variables, tasks))
        found = [Chunk(loss, loss.held, variables, some).gradients() for some in chunks]
        return found[0] if len(found) == 1 else Each(*tree.gather(found, torch.cat))

    def _fitted(self, loss: Loss, variables: Params, tasks: Any) -> int:
        return self.tasks_per_chunk or self._fitting(loss, variables, tasks)
