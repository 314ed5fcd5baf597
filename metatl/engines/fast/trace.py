"""A function of tensors as one flat list of operations, recorded once and replayed.

What is left out at replay: Python, vmap, autograd, every view (one `as_strided` of what owns the memory),
every constant, every repetition. The arithmetic stays the same, up to the last digit of a few sums.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from metatl import tree
from metatl.engines.fast.follow import UnrecordedError, check, close, followed
from metatl.engines.fast.graph import GraphRecorder
from metatl.engines.fast.trace_passes import (
    drop_repeats,
    flatten_views,
    fold_constants,
    lower,
    shorten,
)
from metatl.threads import SMALL, few_threads
from metatl.types import MetatlError

Key = tuple[Any, ...]


class Recording(NamedTuple):
    """What replays, the nesting of its outputs, and whether one thread is enough for it."""

    replay: Callable[..., Any]
    outputs: tree.Nesting
    small: bool


def _key(flat: list[Any], nesting: tree.Nesting) -> Key:
    parts: list[Any] = [nesting]
    for leaf in flat:
        if isinstance(leaf, Tensor):
            parts += (leaf.shape, leaf.stride(), leaf.dtype, leaf.device)
        else:
            parts.append(leaf)
    return tuple(parts)


def _own(leaf: Any) -> Any:
    """A tensor at the start of its memory, outside every graph: a recorded layout counts from there."""
    if not isinstance(leaf, Tensor):
        return leaf
    leaf = leaf.detach() if leaf.requires_grad else leaf
    return leaf.clone() if leaf.storage_offset() else leaf


def _simplify(graph: fx.GraphModule, flat: list[Any]) -> fx.GraphModule:
    shorten(graph, GraphRecorder.run_once(graph, flat))
    notes = GraphRecorder.run_once(graph, flat)
    fold_constants(graph, notes)
    flatten_views(graph, notes)
    drop_repeats(graph)
    lower(graph)
    graph.graph.lint()
    graph.recompile()
    return graph


def simplify(graph: fx.GraphModule, flat: list[Any]) -> fx.GraphModule:
    """The same outputs from fewer operations, for inputs of the same layouts as `flat`.

    Checked on these inputs: a simplification that went wrong costs speed, never the result.
    """
    with torch.no_grad():
        before = graph(*flat)
        try:
            short = _simplify(copy.deepcopy(graph), flat)
            same = all(close(a, b) for a, b in zip(before, short(*flat), strict=True))
        except RuntimeError:
            return graph
    return short if same else graph


def compiled(graph: fx.GraphModule, flat: list[Any], threads: int) -> Callable[..., Any]:
    """The same outputs from code that torch's inductor writes; MetatlError where it has no compiler."""
    before = torch.get_num_threads()
    from torch import _inductor as inductor  # pyright: ignore[reportPrivateUsage]  # takes a second to import

    torch.set_num_threads(threads)  # inductor writes their number into the code
    try:
        with torch.no_grad():
            code: Any = inductor.compile(graph, flat)
            return code
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise MetatlError(f"compile: {first}; install a C++ compiler, or leave `compile` out") from error
    finally:
        torch.set_num_threads(before)


class Traced:
    """fn with one recorded graph for every combination of shapes, layouts and types of its tensors.

    fn takes and gives nested tuples, lists and dicts of tensors; whatever else it depends on (a closure, a
    context variable, a number) is part of the recording and must not change between calls. It must not read
    values (`.item()`, a branch on a tensor). The outputs have no graph. Where torch cannot record fn, it runs
    as it stands (None among the recordings), or MetatlError is raised if it should be compiled.
    """

    def __init__(self, fn: Callable[..., Any], compiled: bool = False) -> None:
        self._fn, self._compiled = fn, compiled
        self.recordings: dict[Key, Recording | None] = {}

    def __call__(self, *args: Any) -> Any:
        """fn(*args), replayed where it was recorded."""
        flat, nesting = tree.flatten(args)
        flat = [_own(leaf) for leaf in flat]
        key = _key(flat, nesting)
        if key not in self.recordings:
            # Recording must leave no trace: a resumed run records anew and has to draw the same numbers.
            with torch.random.fork_rng():
                self.recordings[key] = self._record(flat, nesting)
        recording = self.recordings[key]
        if recording is None:
            return self._fn(*args)
        with torch.no_grad(), few_threads(recording.small):
            return tree.unflatten(recording.replay(*flat), recording.outputs)

    def _record(self, flat: list[Any], nesting: tree.Nesting) -> Recording | None:
        seen: list[tree.Nesting] = []

        def run(*leaves: Any) -> list[Any]:
            values, out = tree.flatten(self._fn(*tree.unflatten(leaves, nesting)))
            seen.append(out)
            return [v.detach() if isinstance(v, Tensor) else v for v in values]

        try:
            graph, layouts = followed(run, flat)
            check(graph, run, flat)
        except UnrecordedError:
            if self._compiled:
                raise
            return None
        sizes = [math.prod(layout.shape) for layout in layouts]
        on_cpu = all(leaf.device.type == "cpu" for leaf in flat if isinstance(leaf, Tensor))
        small = on_cpu and max(sizes) <= SMALL
        if self._compiled:
            return Recording(compiled(graph, flat, 1 if small else torch.get_num_threads()), seen[-1], small)
        return Recording(simplify(graph, flat), seen[-1], small)
