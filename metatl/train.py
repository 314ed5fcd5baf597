"""The one outer loop, for every learner."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from metatl.capture import Graph, captured
from metatl.data.source import Data
from metatl.engines.by_shape import by_shape
from metatl.engines.engine import Engine
from metatl.lab import store
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.types import MetatlError, Metrics

Callback = Callable[[State, Metrics], None]
"""Called after every step with the new state and the step's metrics, still on the device."""


def train(
    learner: Learner,
    net: Net,
    engine: Engine,
    state: State,
    data: Data,
    seed: int,
    callbacks: Sequence[Callback] = (),
    graph: Graph | None = None,
) -> State:
    """Step the learner from `state` to its last step.

    What a step draws, and every random number in it, depends on (seed, step) only, so a run that is resumed
    from a checkpoint is bitwise the run that was not interrupted. graph: how steps are captured where
    learner, engine and data allow it (`capture.cuda_graph`, on a CUDA device); not for None.
    """

    def plain(state: State) -> tuple[State, Metrics]:
        return learner.step(net, by_shape(engine), state, learner.draw(data, seed, state.step))

    with torch.inference_mode(False), torch.enable_grad():  # learning inside `no_grad` learns
        may = graph is not None and engine.capturable and data.capturable
        return _train(learner, plain, state, seed, callbacks, graph if may else None)


def _train(
    learner: Learner,
    plain: Callable[[State], tuple[State, Metrics]],
    state: State,
    seed: int,
    callbacks: Sequence[Callback],
    graph: Graph | None,
) -> State:
    step, may = None, True
    while state.step < learner.steps:
        torch.manual_seed((seed * 1_000_003 + state.step) % 2**63)
        if graph is not None and may and learner.capturable(state.step):
            step, may = captured(plain, state, graph), False
        state, metrics = (step or plain)(state)
        for callback in callbacks:
            callback(state, metrics)
    return state


def check_finite(state: State, metrics: Metrics) -> None:
    """Raise MetatlError naming the step when a metric or a carried weight is NaN or infinite."""
    for name, value in metrics.items():
        if not bool(torch.isfinite(value).all()):
            raise MetatlError(
                f"'{name}' is {float(value)} at step {state.step}: the run has diverged; lower a learning "
                "rate or set `clip`. The last good checkpoint, if there is one, is kept"
            )
    for name, leaf in state.transfer.params.items():
        if not bool(torch.isfinite(leaf).all()):
            raise MetatlError(
                f"weight '{name}' is not finite after step {state.step}: the run has diverged; lower a "
                "learning rate or set `clip`. The last good checkpoint, if there is one, is kept"
            )


class Checkpoints:
    """Writes the state every `seconds`, and whenever `now` is called; never a state that is not finite."""

    def __init__(self, path: Path, seconds: float = 20.0) -> None:
        self.path, self.seconds = path, seconds
        self.digest: str | None = None
        self.last = time.monotonic()
        self.saved = -1

    def of(self, digest: str) -> Checkpoints:
        """These, bound to the run with this digest: what is written names it, and others are refused."""
        self.digest = digest
        return self

    def due(self) -> bool:
        """Whether the time has come to write again."""
        return time.monotonic() - self.last >= self.seconds

    def now(self, state: State, spent: float) -> None:
        """Write this state."""
        if state.step != self.saved:
            store.save_checkpoint(self.path, state, spent, self.digest)
            self.last, self.saved = time.monotonic(), state.step

    def resume(self) -> tuple[State, float] | None:
        """The last whole checkpoint and its seconds, if any; a damaged one falls back to the one before.

        Raises MetatlError naming the file where none is whole, and for one of a newer metatl or another run.
        """
        previous = self.path.with_name(self.path.name + ".previous")
        try:
            if self.path.is_file():
                return store.load_checkpoint(self.path, self.digest)
        except store.DamagedError:
            if not previous.is_file():
                raise
            found = store.load_checkpoint(previous, self.digest)
            store.remove(self.path)  # or it would become the previous one of the next
            return found
        return store.load_checkpoint(previous, self.digest) if previous.is_file() else None
