"""The better of batched and loop, chosen for each workload."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from metatl import tree
from metatl.arithmetic import Products, products_of
from metatl.engines.batched import Batched
from metatl.engines.engine import Each, Engine, TaskFunction, task
from metatl.engines.kept import kept
from metatl.engines.loop import Loop
from metatl.loss import Loss
from metatl.net import Net
from metatl.types import Metrics, Params

Key = tuple[Any, ...]
_MOST = 32
"""Losses and choices that are kept."""


@dataclass(frozen=True)
class Auto(Engine):
    """Batched where a task's matrix products are small, one task after another where they fill the machine.

    What batching saves is the cost of starting a product, so the mean multiply-adds of a task's products
    decide, those apart that run on compiled kernels, which were faster batched at every size. On a GPU tasks
    are always batched. This rule looks at sizes alone, so a run takes the same engine whenever it is repeated
    or resumed on a machine. `by: time` times both engines on the first meta-batch instead, which fits the
    workload better; but then two runs may take different engines, which agree to rounding and not to the bit.
    A choice is kept for each loss (net, adaptation, unrolling) and shape of tasks.

    Measured on one core, batched over loop: nets of convolution, batch norm and ReLU 2.6 to 3.8 (W1 to W4);
    linear layers 2.7 at 0.3 million multiply-adds, 1.4 at 2.8, 0.95 at 5, 0.65 at 11; convolutions that are
    not compiled 1.1 at 0.7, 0.8 to 1.1 at 2.6, 0.75 at 4, 0.4 to 0.6 beyond 10; 1-d ones 1.2 at 7, 0.9 at 14.

    Args:
        tasks_per_chunk: of the batched engine.
        by: what decides.
        most: largest mean number of multiply-adds of a product that is batched.
    """

    tasks_per_chunk: int | None = None
    by: Literal["size", "time"] = "size"
    most: float = 3e6
    capturable: ClassVar[bool] = True  # where there is a card, tasks are always batched

    def __post_init__(self) -> None:
        """Raise MetatlError for a chunk without tasks."""
        Batched(self.tasks_per_chunk)

    @kept
    def _engines(self) -> tuple[Engine, Engine]:
        return Batched(self.tasks_per_chunk), Loop()

    @kept
    def _chosen(self) -> dict[Key, Engine]:
        return {}

    @kept
    def _known(self) -> dict[Hashable, tuple[Loss, str]]:
        return {}

    def _said(self, loss: Loss) -> str:
        """What a loss says of itself, put together once: small tasks would wait for it."""
        key = loss.key()
        if key not in self._known:
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = loss, loss.words()
        return self._known[key][1]

    def ready(self, net: Net) -> Net:
        """The net as the batched engine runs it; it is the same function in a loop."""
        return self._engines[0].ready(net)

    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task on the chosen engine."""
        key = ("map", fn.__qualname__, *_shapes(tasks))

        def sized() -> Products:
            return products_of(lambda: fn(task(tasks, 0)))

        engine = self._choice(key, tasks, sized, lambda engine: engine.map(fn, tasks))
        return engine.map(fn, tasks)

    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """The chosen engine's."""
        return self._for(loss, variables, tasks).grad(loss, variables, tasks, calls)

    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """The chosen engine's."""
        return self._for(loss, variables, tasks).grads(loss, variables, tasks)

    def _for(self, loss: Loss, variables: Params, tasks: Any) -> Engine:
        key = ("grad", self._said(loss), *_shapes(tasks))

        def sized() -> Products:
            return products_of(lambda: loss.ready(self.ready).probe(variables, task(tasks, 0)))

        return self._choice(key, tasks, sized, lambda engine: engine.grad(loss, variables, tasks))

    def _choice(
        self, key: Key, tasks: Any, sized: Callable[[], Products], run: Callable[[Engine], Any]
    ) -> Engine:
        engines, chosen = self._engines, self._chosen
        if key not in chosen:
            while len(chosen) >= _MOST:
                chosen.pop(next(iter(chosen)))
            if self.by == "time":
                chosen[key] = min(engines, key=lambda engine: _seconds(run, engine))
            else:
                batched = tree.first(tasks).device.type != "cpu" or sized().mean <= self.most
                chosen[key] = engines[0] if batched else engines[1]
        return chosen[key]


def _shapes(tasks: Any) -> Key:
    leaves = list(tree.leaves(tasks))
    return (*(tuple(leaf.shape) for leaf in leaves), leaves[0].device.type)


def _seconds(run: Callable[[Engine], Any], engine: Engine) -> float:
    """The time of two calls after one that warms up."""
    begun = 0.0
    for call in range(3):
        if call == 1:
            begun = _now()
        run(engine)
    return _now() - begun


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
