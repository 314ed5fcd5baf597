"""The outer gradient of some tasks at once, as it stands and recorded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from metatl import tree
from metatl.adapt import Descent
from metatl.engines.engine import Outer, TaskFunction, as_variables, derivatives, gradient_of, task_loss
from metatl.engines.ops import rerouted
from metatl.engines.ops_stock import Batchable
from metatl.engines.ops_trace import Traced
from metatl.net import Net
from metatl.types import Episode, Groups, MetatlError, Metrics, Transfer

_MOST = 6
"""Recordings that an engine keeps: a sweep over rates needs no more memory at its end than at its start."""

Part = tuple[list[Tensor], Metrics]
"""Some tasks' share of the outer gradient, variable by variable, and their metrics, task by task."""


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


def over_tasks(fn: TaskFunction, episodes: Episode) -> Any:
    """vmap of fn over the leading axis of every tensor; a None is no tensor, and is handed on."""
    held, nesting = tree.flatten(episodes)
    return vmap(lambda *leaves: fn(tree.unflatten(leaves, nesting)))(*held)


def routes(episodes: Episode, twice: bool) -> AbstractContextManager[object]:
    """Around work on these tasks: operations that are exact when differentiated twice, or torch's own.

    Torch's batching rule for a convolution is a grouped one: faster in first order on a CPU, slow on a GPU.
    """
    return rerouted() if twice or tree.first(episodes).is_cuda else Batchable()


@dataclass(frozen=True)
class Chunk:
    """What the outer gradient of some tasks depends on.

    moving: as in `Descent.trajectory`; count: tasks of the whole meta-batch, of which these are some.
    """

    net: Net
    adaptation: Descent
    outer: Outer
    moving: frozenset[str] | None
    transfer: Transfer
    episodes: Episode
    count: int

    def gradient(self) -> Part:
        """d (sum of these tasks' query losses / count) / d variables."""
        leafy, variables = as_variables(self.transfer, self.outer.learn_guide)
        fn = task_loss(self.net, self.adaptation, leafy, self.outer, self.moving)
        with derivatives(), torch.enable_grad():
            with routes(self.episodes, self.outer.unroll == "full"), at_once():
                losses, metrics = over_tasks(fn, self.episodes)
            return gradient_of(losses.sum() / self.count, variables), metrics


class Recordings:
    """Outer gradients as flat lists of operations, one for each net, adaptation and shape of chunk."""

    def __init__(self, compiled: bool) -> None:
        self._compiled = compiled
        self._known: dict[tuple[object, ...], tuple[object, Traced]] = {}

    def gradient(self, chunk: Chunk) -> Part:
        """`Chunk.gradient`, replayed where it was recorded."""
        outer, carried = chunk.outer, chunk.transfer
        # By identity: what is kept alive beside a recording cannot be mistaken for another object.
        key = (id(chunk.net.module), id(chunk.adaptation), chunk.net.outputs, chunk.moving)
        key += (outer.unroll, outer.learn_guide, chunk.count)
        if key not in self._known:
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = (chunk.net, chunk.adaptation), _traced(chunk, self._compiled)
        tensors = carried.groups()
        return self._known[key][1](tensors, chunk.episodes, outer.step_weights)


def _traced(chunk: Chunk, compiled: bool) -> Traced:
    fixed = (chunk.net, chunk.adaptation)

    def gradient(carried: Groups, episodes: Episode, weights: Tensor | None) -> Part:
        outer = replace(chunk.outer, step_weights=weights)
        return Chunk(*fixed, outer, chunk.moving, Transfer(*carried), episodes, chunk.count).gradient()

    return Traced(gradient, compiled)


def own(net: Net, adaptation: Descent) -> bool:
    """Whether net and adaptation are made of torch's and this package's classes alone.

    Those depend on nothing but tensors and their fields, so a recording of them stays true; what a user wrote
    may change its course between calls (a counter, a schedule), which a recording would not follow.
    """
    return all(_is_own(part) for part in (*net.module.modules(), *_parts(adaptation)))


def _is_own(part: object) -> bool:
    return type(part).__module__.split(".")[0] in ("torch", "metatl", "builtins")


def _parts(value: object) -> Iterator[object]:
    yield value
    if is_dataclass(value):
        for field in fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)
