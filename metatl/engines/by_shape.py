"""Tasks that differ in shape: those that are alike at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, final

import torch
from torch import Tensor

from metatl import tree
from metatl.engines.engine import Each, Engine, TaskFunction, tasks_of
from metatl.engines.loop import Loop
from metatl.loss import Loss
from metatl.net import Net
from metatl.types import Metrics, Params, Ragged


@final
@dataclass(frozen=True)
class ByShape(Engine):
    """Runs the parts of a `Ragged` meta-batch one after another on `engine`; a stacked one as that does.

    No row is added to make shapes equal, so what a task computes is what it computes alone, whatever net,
    terms and adaptation are; results come back in the order of the tasks.
    """

    engine: Engine

    def ready(self, net: Net) -> Net:
        """The engine's."""
        return self.engine.ready(net)

    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task; results must be alike for all of them to be stacked."""
        if not isinstance(tasks, Ragged):
            return self.engine.map(fn, tasks)
        return _ordered([engine.map(fn, part) for engine, part, _ in parts_of(self.engine, tasks)], tasks)

    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """The parts' means, weighted by their tasks; a shape comes too seldom to prepare for."""
        if not isinstance(tasks, Ragged):
            return self.engine.grad(loss, variables, tasks, calls)
        found = [engine.grad(loss, variables, part) for engine, part, _ in parts_of(self.engine, tasks)]
        weights = [len(places) / tasks.count for places in tasks.places]
        gradients, metrics = zip(*found, strict=True)
        return _sum(gradients, weights), _sum(metrics, weights)

    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """Every task's own."""
        if not isinstance(tasks, Ragged):
            return self.engine.grads(loss, variables, tasks)
        found = [engine.grads(loss, variables, part) for engine, part, _ in parts_of(self.engine, tasks)]
        return Each(*_ordered(found, tasks))


def parts_of(engine: Engine, tasks: Any) -> Iterator[tuple[Engine, Any, tuple[int, ...]]]:
    """What runs them, stacked tasks of one shape, and their places in the meta-batch: part by part."""
    if not isinstance(tasks, Ragged):
        yield engine, tasks, tuple(range(tasks_of(tasks)))
        return
    for part, places in zip(tasks.parts, tasks.places, strict=True):
        yield engine if len(places) > 1 else _alone(engine), part, places


def _alone(engine: Engine) -> Engine:
    """What runs a task with which none runs at once: batching it would cost, and save nothing."""
    from metatl.engines.auto import Auto  # evaluating on a loop wants none of them
    from metatl.engines.batched import Batched
    from metatl.engines.split import Split

    if isinstance(engine, Split):
        return Split(_alone(engine.engine))
    return Loop() if isinstance(engine, Batched | Auto) else engine


def by_shape(engine: Engine) -> Engine:
    """The engine for tasks of whatever shapes."""
    return engine if isinstance(engine, ByShape) else ByShape(engine)


def _ordered(found: list[Any], tasks: Ragged) -> Any:
    """Results part by part -> results in the order of the tasks."""
    order = torch.tensor([place for places in tasks.places for place in places]).argsort()

    def joined(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts)[order.to(parts[0].device)]

    return tree.gather(found, joined)


def _sum(trees: tuple[Params, ...], weights: list[float]) -> Params:
    return reduce(tree.add, [tree.scale(one, weight) for one, weight in zip(trees, weights, strict=True)])
