"""What a learner is: a way of learning a Transfer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.net import Net
from metatl.rules import Rule, RuleState
from metatl.threads import SMALL, few_threads
from metatl.types import Labels, Metrics, Params, Transfer, check_rates

Schedule = Literal["constant", "linear", "cosine"]
"""How the size of the outer step falls from 1 to 0 over a run."""


@dataclass(frozen=True)
class State:
    """Where a learner stands: what it has learned, the steps done, its memory (tensors by role and name)."""

    transfer: Transfer
    step: int
    memory: dict[str, Params]


class Learner(ABC):
    """A way of learning a Transfer: init, then `steps` steps, then finish."""

    steps: int

    def __post_init__(self) -> None:
        """Raise MetatlError for a negative rate."""
        check_rates(self, "rate", "guide_rate", "moment_rate")

    @abstractmethod
    def outputs(self, data: Data) -> int:
        """Units of the output layer that it trains."""

    def numbering(self, data: Data) -> Labels | None:
        """What the rows of the output layer that it learns stand for; None where it learns none.

        The classes of all mini-batches, unless it learns from tasks whose classes are their own.
        """
        return "shared" if self.steps else None

    @abstractmethod
    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """Raise MetatlError before any work when the data or the start cannot serve."""

    @abstractmethod
    def draw(self, data: Data, seed: int, step: int) -> Any:
        """What one step learns from; depends on (seed, step) only."""

    @abstractmethod
    def init(self, net: Net, start: Transfer) -> State:
        """The state before the first step."""

    def remark(self, state: State) -> str:
        """What a person should know of the learning so far: what was left out, say; empty for nothing."""
        return ""

    @abstractmethod
    def step(self, net: Net, engine: Engine, state: State, drawn: Any) -> tuple[State, Metrics]:
        """One step; metrics are 0-d tensors, left on the device."""

    def capturable(self, step: int) -> bool:
        """Whether from here on `draw` and `step` may get the state's step as a 0-d tensor on the device."""
        return False

    def finish(self, net: Net, state: State) -> Transfer:
        """What is carried on."""
        return state.transfer


def size_at(schedule: Schedule, step: int | Tensor, steps: int) -> float | Tensor:
    """Factor on the outer step: 1, 1 - t, or (1 + cos pi t) / 2 with t = step / steps.

    A 0-d tensor for a step that is one: a captured step is scheduled on the device.
    """
    if schedule == "constant":
        return 1.0
    if isinstance(step, Tensor):
        there = step.double() / max(steps, 1)
        return 1.0 - there if schedule == "linear" else (1.0 + torch.cos(math.pi * there)) / 2.0
    share = step / max(steps, 1)
    return 1.0 - share if schedule == "linear" else (1.0 + math.cos(math.pi * share)) / 2.0


def moved(
    rule: Rule,
    params: Params,
    grads: Params,
    memory: RuleState,
    size: float | Tensor,
    clip: float | None,
) -> tuple[Params, RuleState]:
    """params + size * rule(gradient), the gradient clamped entry by entry to +-clip where given."""
    if clip is not None:
        grads = tree.map(lambda g: g.clamp(-clip, clip), grads)
    small = all(leaf.is_cpu and leaf.numel() <= SMALL for leaf in params.values())
    with torch.no_grad(), few_threads(small):
        updates, memory = rule.update(grads, memory, params)
        return tree.map(lambda p, u: _ahead(p, u, size), params, updates), memory


def _ahead(param: Tensor, update: Tensor, size: float | Tensor) -> Tensor:
    if isinstance(size, Tensor):
        return torch.addcmul(param, update, size.to(param.dtype))
    return torch.add(param, update, alpha=size)
