"""The gradient of some tasks at once, as it stands and recorded."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from metatl import tree
from metatl.engines.engine import Each, TaskFunction, as_leaves, derivatives, gradient_of, tasks_of
from metatl.engines.fast.ops import rerouted
from metatl.engines.fast.stock import batchable
from metatl.engines.fast.trace import Traced
from metatl.loss import Loss
from metatl.types import MetatlError, Metrics, Params

_MOST = 6
"""Recordings that an engine keeps: a sweep over rates needs no more memory at its end than at its start."""

Part = tuple[list[Tensor], Metrics]
"""Some tasks' share of the gradient, variable by variable, and their metrics, task by task."""


@contextmanager
def at_once() -> Generator[None]:
    """Around a vmap over tasks: what it cannot run is one clear line."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("vmap"):
            raise
        raise MetatlError(
            "the batched engine cannot run this net, term or guide for many tasks at once (it reads a "
            "tensor's value, or draws random numbers); use engine: {class_path: Loop}"
        ) from error


def over_tasks(fn: TaskFunction, tasks: Any) -> Any:
    """vmap of fn over the leading axis of every tensor; a None is no tensor, and is handed on."""
    held, nesting = tree.flatten(tasks)
    return vmap(lambda *leaves: fn(tree.unflatten(leaves, nesting)))(*held)


def routes(tasks: Any, twice: bool) -> AbstractContextManager[object]:
    """Around work on these tasks: operations that are exact when differentiated twice, or torch's own.

    Torch's batching rule for a convolution is a grouped one: faster in first order on a CPU, slow on a GPU.
    """
    return rerouted() if twice or tree.first(tasks).is_cuda else batchable()


@dataclass(frozen=True)
class Chunk:
    """What the gradient of some tasks depends on; count: tasks of the meta-batch, of which these are some."""

    loss: Loss
    held: Any
    variables: Params
    tasks: Any
    count: int = 1

    def gradient(self) -> Part:
        """d (sum of these tasks' losses / count) / d variables."""
        leaves, loss, held = as_leaves(self.variables), self.loss, self.held
        with derivatives(), torch.enable_grad():
            losses, metrics = self._run(lambda one: loss(leaves, held, one), self.tasks)
            return gradient_of(losses.sum() / self.count, list(leaves.values())), metrics

    def gradients(self) -> Each:
        """d (a task's loss) / d variables for each of these tasks: every task has variables of its own."""
        loss, held, tasks = self.loss, self.held, tasks_of(self.tasks)
        own = {n: v.detach().expand(tasks, *v.shape).clone() for n, v in self.variables.items()}
        leaves = as_leaves(own)
        with derivatives(), torch.enable_grad():
            losses, metrics = self._run(lambda pair: loss(pair[0], held, pair[1]), (leaves, self.tasks))
            found = gradient_of(losses.sum(), list(leaves.values()))
        return Each(dict(zip(leaves, found, strict=True)), losses.detach(), metrics)

    def _run(self, fn: TaskFunction, tasks: Any) -> Any:
        with routes(self.tasks, self.loss.twice), at_once():
            return over_tasks(fn, tasks)


class Recordings:
    """Gradients as flat lists of operations, one for each loss and shape of chunk."""

    def __init__(self, compiled: bool) -> None:
        self._compiled = compiled
        self._known: dict[Hashable, tuple[Loss, Traced]] = {}

    def gradient(self, chunk: Chunk) -> Part:
        """`Chunk.gradient`, replayed where it was recorded."""
        # By identity: what is kept alive beside a recording cannot be mistaken for another object.
        key = (chunk.loss.key(), chunk.count)
        if key not in self._known:
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = chunk.loss, _traced(chunk, self._compiled)
        return self._known[key][1](chunk.variables, chunk.held, chunk.tasks)


def _traced(chunk: Chunk, compiled: bool) -> Traced:
    def gradient(variables: Params, held: Any, tasks: Any) -> Part:
        return Chunk(chunk.loss, held, variables, tasks, chunk.count).gradient()

    return Traced(gradient, compiled)


def own(loss: Loss) -> bool:
    """Whether a loss is made of torch's and this package's classes alone.

    Those depend on nothing but tensors and their fields, so a recording of them stays true; what a user wrote
    may change its course between calls (a counter, a schedule), which a recording would not follow.
    """
    return all(_is_own(part) for part in _parts(loss))


def _is_own(part: object) -> bool:
    return type(part).__module__.split(".")[0] in ("torch", "metatl", "builtins")


def _parts(value: object) -> Iterator[object]:
    yield value
    if isinstance(value, nn.Module):
        yield from value.modules()
    elif is_dataclass(value):
        for field in fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)
