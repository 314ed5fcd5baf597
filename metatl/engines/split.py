"""The tasks of a meta-batch over the processes of a job."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, final

import torch
from torch import Tensor

from metatl import processes, tree
from metatl.engines.engine import Each, Engine, TaskFunction, task, tasks_of
from metatl.loss import Loss
from metatl.net import Net
from metatl.types import Metrics, Params


@final
@dataclass(frozen=True)
class Split(Engine):
    """Every process runs its share of the tasks on `engine`; all of them get the same bits back.

    All draw the whole meta-batch, which depends on (seed, step) alone, and take a contiguous slice of it. A
    process without a task runs the first one, for names and shapes, and adds nothing. What a task computes is
    what it is in one process up to rounding, if it draws no random numbers of its own.
    """

    engine: Engine

    def ready(self, net: Net) -> Net:
        """The engine's."""
        return self.engine.ready(net)

    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task, each by one process, gathered from all."""
        counts = _counts(tasks_of(tasks))
        return _gathered(self.engine.map(fn, _share(tasks, counts)), counts)

    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """The mean of the shares' gradients and metrics, weighted by their tasks, in one exchange."""
        count, counts = tasks_of(tasks), _counts(tasks_of(tasks))
        mine = self.engine.grad(loss, variables, _share(tasks, counts), calls)
        gradients, said = _mean(mine, counts[processes.rank()] / count)
        return gradients, said

    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """Every task's own, each from one process, gathered from all."""
        counts = _counts(tasks_of(tasks))
        return Each(*_gathered(self.engine.grads(loss, variables, _share(tasks, counts)), counts))


def _gathered(mine: Any, counts: list[int]) -> Any:
    """What every process has for its tasks, as one: leaves [task, ...] of all of them."""
    leaves = list(tree.leaves(mine))
    rows = torch.cat([_as_bytes(leaf) for leaf in leaves], 1)[: counts[processes.rank()]]
    found = processes.gathered(rows, counts)
    widths = [_as_bytes(leaf[:1]).shape[1] for leaf in leaves]
    whole = (_as_was(part, leaf) for part, leaf in zip(found.split(widths, 1), leaves, strict=True))
    return tree.gather([mine], lambda _: next(whole))


def _counts(tasks: int) -> list[int]:
    """Tasks of every process: as equal as can be."""
    world = processes.world()
    return [tasks * (i + 1) // world - tasks * i // world for i in range(world)]


def _share(tasks: Any, counts: list[int]) -> Any:
    """The tasks of this process; the first one where it has none."""
    rank = processes.rank()
    first = sum(counts[:rank])
    return task(tasks, slice(first, first + counts[rank]) if counts[rank] else slice(1))


def _mean(trees: tuple[Params, ...], weight: float) -> tuple[Params, ...]:
    """Sum over processes of weight * leaf, all leaves in one buffer of the widest type, float32 at least."""
    leaves = [leaf for leaves in trees for leaf in leaves.values()]
    wide = reduce(torch.promote_types, (leaf.dtype for leaf in leaves), torch.float32)
    flat = torch.cat([leaf.detach().reshape(-1).to(wide) for leaf in leaves])
    # Not times 0: what a process without a task computed may be infinite.
    total = processes.summed(flat * weight if weight else torch.zeros_like(flat))
    parts = iter(total.split([leaf.numel() for leaf in leaves]))
    return tuple(
        {name: next(parts).view(leaf.shape).to(leaf.dtype) for name, leaf in named.items()} for named in trees
    )


def _as_bytes(leaf: Tensor) -> Tensor:
    """[task, ...] -> its bytes [task, n]."""
    return tree.bits(leaf).view(len(leaf), leaf[0].numel() * leaf.element_size())


def _as_was(part: Tensor, leaf: Tensor) -> Tensor:
    """Bytes [tasks, n] in type and shape of a leaf [task, ...]."""
    return part.reshape(-1).clone().view(leaf.dtype).view(len(part), *leaf.shape[1:])
