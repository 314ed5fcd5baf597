"""Learning nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.types import Metrics, Transfer


@dataclass(frozen=True)
class Keep(Learner):
    """What it starts from, as it is: rows that share a pre-trained run, and `scratch`."""

    steps: int = 0

    def outputs(self, data: Data) -> int:
        """The number of source classes (a fresh head replaces the layer anyway)."""
        return max(data.classes("meta_train"), 1)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """Nothing to check."""

    def draw(self, data: Data, seed: int, step: int) -> Any:
        """Nothing to draw."""

    def init(self, net: Net, start: Transfer) -> State:
        """The start."""
        return State(start, 0, {})

    def step(self, net: Net, engine: Engine, state: State, drawn: Any) -> tuple[State, Metrics]:
        """The same state, one step on."""
        return State(state.transfer, state.step + 1, {}), {}
