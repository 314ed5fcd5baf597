"""What a learner is: a way of learning a Transfer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.fields import Checked
from metatl.net import Net
from metatl.rules import Rule, RuleState
from metatl.rules.clipping import check_clip_norm, clipped
from metatl.threads import SMALL, few_threads
from metatl.types import Labels, MetatlError, Metrics, Params, Transfer, check_rates


@dataclass(frozen=True)
class State:
    """Where a learner stands: what it has learned, the steps done, its memory (tensors by role and name)."""

    transfer: Transfer
    step: int
    memory: dict[str, Params]


class Learner(Checked, ABC):
    """A way of learning a Transfer: init, then `steps` steps, then finish."""

    steps: int

    def __post_init__(self) -> None:
        """Raise MetatlError for a negative rate, a bound that is none, and a word that is not offered."""
        check_rates(self, "rate", "guide_rate", "moment_rate")
        check_clip_norm(getattr(self, "clip_norm", None), type(self).__name__)

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


class OverLearner(Learner):
    """Another learner with something around its steps; it says what is drawn and what is trained."""

    learner: Learner

    @property
    def steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the learner."""
        return self.learner.steps

    def outputs(self, data: Data) -> int:
        """Of the learner."""
        return self.learner.outputs(data)

    def numbering(self, data: Data) -> Labels | None:
        """Of the learner."""
        return self.learner.numbering(data)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """As the learner does."""
        self.learner.check(net, start, data)

    def draw(self, data: Data, seed: int, step: int) -> Any:
        """As the learner does."""
        return self.learner.draw(data, seed, step)


def check_classifies(who: Learner, net: Net, start: Transfer, data: Data) -> None:
    """Raise MetatlError for a start that does not classify the data's source classes."""
    rows, classes = net.rows(start.params), who.outputs(data)
    if data.kind != "classification" or rows != classes:
        raise MetatlError(
            f"{type(who).__name__} needs a start that classifies the data's {classes} source classes, "
            f"but its output layer has {rows} rows; set `start` to a Supervised run on the same data"
        )


def moved(
    rule: Rule,
    params: Params,
    grads: Params,
    memory: RuleState,
    size: float | Tensor,
    clip: float | None,
    clip_norm: float | None = None,
) -> tuple[Params, RuleState]:
    """params + size * rule(gradient); where given, +-clip bounds its entries, clip_norm then its norm."""
    if clip is not None:
        grads = tree.map(lambda g: g.clamp(-clip, clip), grads)
    grads = clipped(grads, clip_norm)
    small = all(leaf.is_cpu and leaf.numel() <= SMALL for leaf in params.values())
    with torch.no_grad(), few_threads(small):
        updates, memory = rule.update(grads, memory, params)
        return tree.map(lambda p, u: _ahead(p, u, size), params, updates), memory


def _ahead(param: Tensor, update: Tensor, size: float | Tensor) -> Tensor:
    if isinstance(size, Tensor):
        return torch.addcmul(param, update, size.to(param.dtype))
    return torch.add(param, update, alpha=size)
