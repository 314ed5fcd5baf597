"""A training step as one CUDA graph: drawn, adapted, differentiated and moved without the host.

The tensors of a state lie in fixed memory; a replay reads and overwrites them there. The step number is one
of them, so episodes are drawn and rates scheduled on the device.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from metatl import tree
from metatl.learners.learner import State
from metatl.types import Metrics, Transfer

Step = Callable[[State], tuple[State, Metrics]]
"""Draws and steps; depends on nothing but the state, whose step may be a 0-d int64 tensor."""
Graph = Callable[[Callable[[], Metrics]], Callable[[], Metrics]]
"""Work on fixed memory -> what does that work again."""

_WARM_UP = 3  # calls before a capture: they fill caches, record outer gradients, choose kernels


def cuda_graph(work: Callable[[], Metrics]) -> Callable[[], Metrics]:
    """`work` as a CUDA graph, its metrics in fixed memory too; RuntimeError where it cannot be captured."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        metrics = work()

    def again() -> Metrics:
        graph.replay()
        return metrics

    return again


class Captured:
    """`step` over memory that stays in place; the tensors of the states it gives are overwritten by the next.

    Raises RuntimeError where the step waits for the host, draws from a generator (a resumed run would draw
    other numbers), or does not give what `step` gives.
    """

    def __init__(self, step: Step, state: State, graph: Graph = cuda_graph) -> None:
        self._place, self._moves = _like(state, Tensor.clone), set[int]()
        like = next(iter(state.transfer.params.values()))
        self._count = torch.tensor(state.step, dtype=torch.int64, device=like.device)
        expected = _checked(step, state)

        def work() -> Metrics:
            counted = replace(self._place, step=cast(int, self._count))
            new, metrics = step(counted)
            for i, (place, fresh) in enumerate(zip(_leaves(self._place), _leaves(new), strict=True)):
                if fresh is not place:
                    place.copy_(fresh)
                    self._moves.add(i)
            self._count += 1
            return metrics

        self._again = graph(work)
        self._back_to(state)
        self._again()
        if not all(map(_close, _leaves(expected), _leaves(self._place))):
            raise RuntimeError("the captured step gives other numbers")
        self._back_to(state)

    def _back_to(self, state: State) -> None:
        # What a step passes through stays untouched: the host would have to look at it again.
        places, leaves = _leaves(self._place), _leaves(state)
        for i in self._moves:
            places[i].copy_(leaves[i])
        self._count.fill_(state.step)

    def __call__(self, state: State) -> tuple[State, Metrics]:
        """The step after `state`, which is the one given last (or the first)."""
        metrics = self._again()
        return replace(self._place, step=state.step + 1), dict(metrics)


def captured(step: Step, state: State, graph: Graph = cuda_graph) -> Captured | None:
    """The captured step, or None with a warning that says why it is not to be had."""
    try:
        return Captured(step, state, graph)
    except RuntimeError as error:
        why = str(error).strip().splitlines()[0]
        warnings.warn(f"the step runs uncaptured, and slower: {why}", RuntimeWarning, stacklevel=2)
        return None


def _checked(step: Step, state: State) -> State:
    before = _generators()
    new, _ = step(state)
    if not all(map(torch.equal, before, _generators())):
        raise RuntimeError("it draws from a random generator")
    return new


def _generators() -> list[Tensor]:
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *cards]


def _leaves(state: State) -> list[Tensor]:
    carried = state.transfer
    return list(tree.leaves([*carried.groups(), state.memory]))


def _like(state: State, fn: Callable[[Tensor], Tensor]) -> State:
    groups = (tree.map(fn, group) for group in state.transfer.groups())
    memory = {role: tree.map(fn, tensors) for role, tensors in state.memory.items()}
    return State(Transfer(*groups), state.step, memory)


def _close(a: Tensor, b: Tensor) -> bool:
    """Up to the order of sums, which differs from one launch to the next."""
    return bool((a - b).norm() <= 1e-3 * a.norm() + 1e-12)
