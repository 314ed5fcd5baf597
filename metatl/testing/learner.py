"""What every learner must keep to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from metatl.adapt import check_guide
from metatl.data.source import Data
from metatl.engines import Loop
from metatl.engines.by_shape import by_shape
from metatl.engines.engine import Engine
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.testing.claims import claim, copies, same
from metatl.train import train
from metatl.types import Params, Ragged, Transfer


def check_learner(
    learner: Learner, net: Net, start: Transfer, data: Data, engine: Engine | None = None, seed: int = 0
) -> None:
    """The laws of a way of learning, on a learner of few steps (two or more).

    Learning never draws from meta_test; a draw depends on seed and step alone; the same seed gives the same
    bytes, so does `train` that is resumed after the first step inside `torch.no_grad()`; a step leaves the
    state before it as it is; metrics are 0-d; what is carried on covers the start's weights, is finite, and
    has a guide for each.
    """
    engine = by_shape(engine or Loop())
    guarded: Any = _WithoutMetaTest(data)
    learner.check(net, start, guarded)
    before = copies(start)
    states, again = (_run(learner, net, start, guarded, engine, seed) for _ in range(2))
    same(copies(start), before, "learning changed its start")
    for one, two in zip(states, again, strict=True):
        same(_of_state(one), _of_state(two), f"step {one.step} has other bytes the second time")
    claim(states[-1].step == learner.steps, f"{learner.steps} steps end at step {states[-1].step}")
    with torch.no_grad():
        last = train(learner, net, engine, states[1], data, seed)
    same(_of_state(last), _of_state(states[-1]), "resumed under no_grad, it ends at other bytes")
    made = learner.finish(net, states[-1])
    missing = start.params.keys() - made.params.keys()
    claim(not missing, f"what is carried on lacks {', '.join(sorted(missing))}")
    bad = [name for name, leaf in copies(made).items() if not bool(leaf.isfinite().all())]
    claim(not bad, f"not finite after learning: {', '.join(bad)}")
    check_guide(made)


def _run(learner: Learner, net: Net, start: Transfer, data: Any, engine: Engine, seed: int) -> list[State]:
    states = [learner.init(net, start)]
    for step in range(learner.steps):
        drawn = learner.draw(data, seed, step)
        claim(_alike(drawn, learner.draw(data, seed, step)), f"draw {step} differs the second time")
        before = _of_state(states[-1])
        torch.manual_seed((seed * 1_000_003 + step) % 2**63)  # as `train` does
        state, metrics = learner.step(net, engine, states[-1], drawn)
        same(_of_state(states[-1]), before, f"step {step} wrote into the state before it")
        odd = [name for name, value in metrics.items() if value.dim()]
        claim(not odd, f"metrics are no single numbers: {', '.join(odd)}")
        states.append(state)
    return states


class _WithoutMetaTest:
    def __init__(self, data: Data) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._data, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            read = name in ("draw", "batch") and "meta_test" in (*args, *named.values())
            claim(not read, f"learning reads meta_test ({name})")
            return found(*args, **named)

        return call


def _of_state(state: State) -> Params:
    held = {f"{r}/{n}": leaf.detach().clone() for r, part in state.memory.items() for n, leaf in part.items()}
    return copies(state.transfer) | held


def _alike(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, two)
    if isinstance(one, Ragged):
        return one.places == two.places and _alike(one.parts, two.parts)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_alike(one[key], two[key]) for key in one)
    if isinstance(one, Iterable) and not isinstance(one, str):
        return all(_alike(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)
