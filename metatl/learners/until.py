"""Learning until it is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from metatl.engines.engine import Engine
from metatl.learners.learner import Learner, OverLearner, State
from metatl.net import Net
from metatl.types import MetatlError, Metrics, Transfer

_OWN = "until"


@dataclass(frozen=True)
class Until(OverLearner):
    """Another learner that rests once its training score reached a level; its last steps then cost nothing.

    Looked at every `over` steps: the mean of the `score` (share right, say) that these steps reported.

    Args:
        learner: what learns; its `steps` are the most that are taken.
        score: level at which it rests.
        over: steps between two looks, an epoch say.
    """

    learner: Learner
    score: float = 0.8
    over: int = 10

    def __post_init__(self) -> None:
        """Refuse looks that are never taken."""
        if self.over < 1:
            raise MetatlError(f"Until: over is {self.over}; give 1 step or more")

    def init(self, net: Net, start: Transfer) -> State:
        """The learner's state, and a score of none."""
        state, none = self.learner.init(net, start), torch.zeros(())
        own = {"sum": none, "rests_since": none, "last": none}
        return State(state.transfer, state.step, {**state.memory, _OWN: own})

    def step(self, net: Net, engine: Engine, state: State, drawn: Any) -> tuple[State, Metrics]:
        """The learner's step, or none."""
        own = state.memory[_OWN]
        if bool(own["rests_since"]):
            still = {"score": own["last"], "rests_since": own["rests_since"]}
            return State(state.transfer, state.step + 1, state.memory), still
        theirs = {role: held for role, held in state.memory.items() if role != _OWN}
        state, metrics = self.learner.step(net, engine, State(state.transfer, state.step, theirs), drawn)
        if "score" not in metrics:
            raise MetatlError(f"Until: {type(self.learner).__name__} reports no score to wait for")
        total, last, since = own["sum"] + metrics["score"].cpu(), own["last"], own["rests_since"]
        if state.step % self.over == 0:
            last, total = total / self.over, torch.zeros(())
            since = torch.tensor(float(state.step)) if bool(last >= self.score) else since
        memory = {**state.memory, _OWN: {"sum": total, "rests_since": since, "last": last}}
        return State(state.transfer, state.step, memory), {**metrics, "rests_since": since}

    def finish(self, net: Net, state: State) -> Transfer:
        """What the learner carries on."""
        return self.learner.finish(net, state)
