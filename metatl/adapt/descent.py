"""Adaptation by guided gradient descent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.anew import Anew
from metatl.adapt.carried import check_output_layer, movable
from metatl.adapt.covering import moving_names
from metatl.adapt.descend import Guided, Point, last
from metatl.adapt.inner import Inner, check_given, inner_of
from metatl.adapt.prediction import predict
from metatl.adapt.stopping import EarlyStopping, stopped
from metatl.adapt.support import at_the_door, check_some
from metatl.adapt.support_guide import SupportGuide
from metatl.adapt.trajectory import trajectory_of
from metatl.data.balance import Balance
from metatl.heads import Head, Learned
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.norm_calls import transformed
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Term
from metatl.rules import SGD, Rule
from metatl.rules.schedule import Named, Schedule
from metatl.types import Batch, Episode, Moments, Params, Transfer, Unroll
from metatl.views import View

Names = frozenset[str]


@dataclass(frozen=True)
class Descent(Adaptation):
    """How a transfer becomes a task's weights: head, then `steps` of theta <- theta + guide * rule(gradient).

    Args:
        rule: proposes the updates.
        steps: inner steps.
        head: how the output layer starts.
        terms: the objective on the support rows.
        moments: which rows give batch norm its moments in predictions; `batch` is transductive.
        batch_size: support rows a step, contiguous and cycling; all for None.
        guide_from_support: a guide made for each task, multiplied with the transfer's.
        guided: what it scales: the `update`, or as published for GTL the `gradient` (under Adam: its zeros).
        shuffle: whether every epoch of batches has an order of its own, drawn from the fit's key.
        schedule: of the steps' size.
        clip_norm: bound on the norm of a step's gradient, over all entries that may move.
        views: the rows of every step as they might also have looked.
        stopping: ends the descent early, where a task is fitted outside every learner, task by task.
        balance: epochs have as many rows of each class: of the largest (`over`), the smallest (`under`).
        anew: whether each epoch starts rule and support guide anew, as Auto-RGN does.
        average: share of the way from start to end where weights are taken, as WiSE-FT; 1 for the end.
    """

    rule: Rule = SGD(0.1)
    steps: int = 5
    head: Head = Learned()
    terms: tuple[Term, ...] = (TaskLoss(),)
    moments: Moments = "support"
    batch_size: int | None = None
    guide_from_support: SupportGuide | None = None
    guided: Guided = "update"
    shuffle: bool = False
    schedule: Named | Schedule = "constant"
    clip_norm: float | None = None
    views: tuple[View, ...] = ()
    stopping: EarlyStopping | None = None
    balance: Balance | None = None
    anew: Anew = "never"
    average: float = 1.0

    guided_by_transfer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_given(self)

    def __call__(
        self, net: Net, transfer: Transfer, support: Batch, unroll: Unroll = "first_order"
    ) -> Params:
        """The adapted weights of one task."""
        return last(self.trajectory(net, transfer, self._given(net, support), unroll))

    def _given(self, net: Net, support: Batch) -> Batch:
        support = at_the_door(net, support, self.terms)
        if self.steps:
            check_some(support, any(term.reads_labels for term in self.terms))
        return support

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Params:
        """The adapted weights of one task, outside every graph; what is frozen runs once a row."""
        support = self._given(net, support)
        moving = None if transformed(*transfer.guide.values()) else self.moving(transfer)
        with torch.no_grad():
            if self.stopping is not None:
                return stopped(self, self.stopping, net, transfer, support, moving, key)
            return last(self.trajectory(net, transfer, support, "first_order", moving, True, key))

    def predict(self, net: Net, transfer: Transfer, fitted: Params, support: Batch, x: Any) -> Any:
        """Outputs [n, outputs] for the rows x under the adapted weights."""
        return predict(net, fitted, transfer, Episode(support, Batch(x)), self.moments)

    def trajectory(
        self,
        net: Net,
        transfer: Transfer,
        support: Batch,
        unroll: Unroll,
        moving: frozenset[str] | None = None,
        once: bool = False,
        key: int = 0,
    ) -> Iterator[Point]:
        """The weights before the first step and after every step.

        moving: names whose guide is not zero throughout; the others are passed through untouched, at no cost.
        once: whether what comes before them runs once a row (`rest_of`). key: of what is drawn on the way.
        """
        return trajectory_of(self, net, transfer, support, unroll, moving, once, key)

    def inner(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Inner:
        """The problem that `trajectory` descends on."""
        return inner_of(self, net, transfer, support, key)

    @property
    def batched(self) -> bool:
        """Unless it stops early, or reads labels to balance its draws: then tasks run one by one."""
        return self.stopping is None and self.balance is None

    def moving(self, transfer: Transfer) -> frozenset[str]:
        """Names of the carried weights that some step may move."""
        return moving_names(transfer, self.steps if self.guided == "update" else None)

    def prior(self, net: Net, transfer: Transfer) -> Params:
        """What the rule learns over tasks, of the weights that move and are not new to every task."""
        left = self.fresh(net, transfer) | net.frozen
        return self.rule.prior({name: p for name, p in transfer.params.items() if name not in left})

    def fresh(self, net: Net, transfer: Transfer) -> frozenset[str]:
        """Names of the weights that are new to every task."""
        return frozenset(name for name in transfer.params if self.head.fresh and net.is_head(name))

    @property
    def needs_labels(self) -> bool:
        """Unless no step is taken, or by terms that read none; a fresh output layer is made of them."""
        return self.head.fresh or (self.steps > 0 and any(term.reads_labels for term in self.terms))

    @property
    def carries(self) -> bool:
        """Unless the output layer is new to every task."""
        return not self.head.fresh

    def adapted(self, net: Net, transfer: Transfer, fitted: Params) -> Transfer:
        """The weights of the last step; a fresh output layer may move in full."""
        new = {name: torch.ones_like(fitted[name]) for name in self.fresh(net, transfer)}
        return replace(transfer, params=fitted, guide={n: new.get(n, g) for n, g in transfer.guide.items()})

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """The carried output layer, where it is used, must have a row for every output."""
        check_output_layer(net, transfer, self.head)

    def trainable(self, net: Net, transfer: Transfer, support: Batch) -> int:
        """Entries whose guide is not 0 at some inner step."""
        inner = self.inner(net, transfer, support) if self.steps else None
        return 0 if inner is None else movable(inner.params, inner.guide, self.steps)

    def answer(
        self, net: Net, transfer: Transfer, episode: Episode, key: int = 0, moving: Names | None = None
    ) -> Any:
        """Outputs for one task's query rows; only `moving` weights are differentiated for."""
        if self.stopping is not None:
            return super().answer(net, transfer, episode, key, moving)
        if self.steps:
            check_some(episode.support, any(term.reads_labels for term in self.terms))
        params = last(self.trajectory(net, transfer, episode.support, "first_order", moving, key=key))
        return predict(net, params, transfer, episode, self.moments)

    def support_moments(self, weight: Tensor | None = None) -> AbstractContextManager[None]:
        """Where passes over support rows, of weight [n], take the moments of batch norms from."""
        return moments_from(Rows(frozen=self.moments == "frozen", weight=weight))
