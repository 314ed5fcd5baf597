"""One task after another: the reference that every law compares with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metatl.adapt import Descent
from metatl.engines.engine import Engine, Outer, OuterGradient, TaskFunction, moving_names, task_loss
from metatl.engines.one_by_one import mapped, summed_gradient
from metatl.net import Net
from metatl.types import Episode, Metrics, Transfer


@dataclass(frozen=True)
class Loop(Engine):
    """A plain Python loop over tasks; the faster engine when one task fills the machine."""

    def map(self, fn: TaskFunction, episodes: Episode) -> Any:
        """fn of every task, one after another."""
        return mapped(fn, episodes)

    def outer_gradient(
        self, net: Net, transfer: Transfer, adaptation: Descent, episodes: Episode, outer: Outer
    ) -> tuple[OuterGradient, Metrics]:
        """The sum of the tasks' gradients over their number."""
        moving = moving_names(transfer, outer.learn_guide)
        return summed_gradient(
            lambda leafy: task_loss(net, adaptation, leafy, outer, moving), transfer, episodes, outer
        )
