"""Ordinary training on batches."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import check_mixing, score
from metatl.aggregates import Aggregate
from metatl.data.balance import Balance
from metatl.data.counter import number
from metatl.data.source import Data
from metatl.data.streams import Stream
from metatl.engines.engine import Engine, gradient_of
from metatl.learners.learner import Learner, State, moved
from metatl.net import Net, Pass
from metatl.norm import Rows, moments_from
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Seen, Term, check_layers, inputs_asked, which_there
from metatl.rules import Adam, Rule
from metatl.rules.schedule import Named, Schedule, size_at
from metatl.types import Batch, MetatlError, Metrics, Params, Transfer
from metatl.views import View, viewed

_VIEWS = 3
_OWN, _AGGREGATE = "terms", "aggregate"
"""Where a state's memory holds the terms' own weights, and what the aggregate goes on from."""


@dataclass(frozen=True)
class Supervised(Learner):
    """theta <- theta + rule(grad objective) on mini-batches of the source classes: pre-training.

    Running moments of batch norms are averaged on the way (momentum as torch's 0.1), for `moments: frozen`.

    Args:
        steps: mini-batches.
        batch_size: examples in each.
        rule: of the weights.
        terms: the objective.
        schedule: of the step size.
        moment_rate: weight of the newest batch in the running moments.
        clip_norm: bound on the norm of a step's gradient.
        views: the labelled rows of every step as they might also have looked.
        balance: epochs have as many labelled rows of every class: of the largest (`over`), the smallest
            (`under`).
        streams: what is drawn beside the labelled `source` rows, by name: `target` rows of another domain.
            One named `source` stands in their place: `Masked` rows, say, which need no labels.
        aggregate: of the terms' gradients, each term being a loss (`OfTarget`); their sum for None.
    """

    steps: int = 1000
    batch_size: int = 64
    rule: Rule = Adam(1e-3)
    terms: tuple[Term, ...] = (TaskLoss(),)
    schedule: Named | Schedule = "cosine"
    moment_rate: float = 0.1
    streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    clip_norm: float | None = None
    views: tuple[View, ...] = ()
    balance: Balance | None = None
    aggregate: Aggregate | None = None

    def outputs(self, data: Data) -> int:
        """The number of source classes, or of the regression's targets; what a stream `source` needs."""
        own = self.streams["source"].outputs(data) if "source" in self.streams else None
        return max(data.classes("meta_train"), 1) if own is None else own

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """The carried output layer must have a row for every source class; no term may hold a start."""
        check_mixing(self.views, self.terms, data.kind == "classification")
        if self.balance is not None:
            data.balanced("meta_train", 1, 0, 0, self.balance)
        for term in self.terms:
            what = type(term).__name__
            if term.needs_anchor:
                said = "holds a task's start and stands in an adaptation's terms; pre-training has none"
                raise MetatlError(f"{what} {said}")
            for name in {*term.streams} - {"source", *self.streams}:
                raise MetatlError(f"{what} looks at the stream '{name}'; name it in the learner's streams")
        check_layers(self.terms, net, start)
        for stream in self.streams.values():
            stream.check(data)
        labelled = "source" not in self.streams
        if labelled and data.kind == "classification" and not data.classes("meta_train"):
            raise MetatlError(
                f"{data.name} gives tasks whose labels are their own, and no classes to train on; learn "
                "from its episodes (Episodic, Reptile, Scout)"
            )
        rows = net.rows(start.params)
        if labelled and rows != self.outputs(data):
            raise MetatlError(
                f"the start's output layer has {rows} rows but the data has {self.outputs(data)} source "
                "classes; leave `start` out or start from a run on the same classes"
            )

    def draw(self, data: Data, seed: int, step: int) -> dict[str, Batch]:
        """One mini-batch of meta_train, `source`, and one of every other stream."""
        drawn = {name: stream.draw(data, seed, step) for name, stream in self.streams.items()}
        if "source" in drawn:
            return drawn
        asked = ("meta_train", self.batch_size, seed, step)
        rows = data.batch(*asked) if self.balance is None else data.balanced(*asked, self.balance)
        return {"source": viewed(self.views, number(seed, _VIEWS, step), rows, self.outputs(data)), **drawn}

    def init(self, net: Net, start: Transfer) -> State:
        """The start, with the terms' own weights and the rule's memory."""
        own = {
            f"{place}.{name}": leaf
            for place, term in enumerate(self.terms)
            for name, leaf in term.weights(net, start, place).items()
        }
        memory = self.rule.init({**_moving(net, start.params), **_named(own)})
        begun = self.aggregate.init(0) if self.aggregate else {}
        return State(start, 0, memory | ({_OWN: own} if own else {}) | ({_AGGREGATE: begun} if begun else {}))

    def step(self, net: Net, engine: Engine, state: State, drawn: dict[str, Batch]) -> tuple[State, Metrics]:
        """One mini-batch of every stream."""
        carried, own = state.transfer, state.memory.get(_OWN, {})
        before = {**_moving(net, carried.params), **_named(own)}
        leaves = {name: p.detach().requires_grad_() for name, p in before.items()}
        params = {name: leaves.get(name, p) for name, p in carried.params.items()}
        rows = Rows(sink={}, weight=drawn["source"].weight)
        with net.training():
            passes = self._passes(net, params, carried, drawn, rows)
        owned = {name: leaves[full] for name, full in zip(own, _named(own), strict=True)}
        seen = self._seen(carried, passes, drawn, owned, state.step)
        losses = [term.over(params, one) for term, one in zip(self.terms, seen, strict=True)]
        loss = sum(losses[1:], losses[0])
        if self.aggregate is None:
            grads, begun = dict(zip(before, gradient_of(loss, list(leaves.values())), strict=True)), {}
        else:
            begun, there = state.memory.get(_AGGREGATE, {}), which_there(self.terms, seen)
            grads, begun = self.aggregate.over_losses(losses, leaves, begun, there)
        size = size_at(self.schedule, state.step, self.steps)
        memory = {role: held for role, held in state.memory.items() if role not in (_OWN, _AGGREGATE)}
        new, memory = moved(self.rule, before, grads, memory, size, None, self.clip_norm)
        buffers = net.updated_buffers(carried.buffers, rows.sink or {}, self.moment_rate)
        metrics = {"loss": loss.detach(), **self._told(seen, drawn)}
        learned = {name: new.get(name, p) for name, p in carried.params.items()}
        if own:
            memory[_OWN] = {name: new[full] for name, full in zip(own, _named(own), strict=True)}
        memory |= {_AGGREGATE: begun} if begun else {}
        return State(replace(carried, params=learned, buffers=buffers), state.step + 1, memory), metrics

    def _told(self, seen: list[Seen], drawn: dict[str, Batch]) -> Metrics:
        """The score on labelled rows, or what the terms tell of others."""
        if "source" in self.streams:
            with torch.no_grad():
                told = [term.told(one) for term, one in zip(self.terms, seen, strict=True)]
            return {name: value for one in told for name, value in one.items()}
        output = tree.apply(Tensor.detach, seen[0].passes["source"].output)
        return {"score": score(output, _labels(self.views, drawn["source"].y))}

    def _passes(
        self, net: Net, params: Params, carried: Transfer, drawn: dict[str, Batch], rows: Rows
    ) -> dict[str, Pass]:
        """A pass a stream; batch norms take each stream's own moments, and average those of the source."""
        if not self.streams:
            with moments_from(rows):
                output = net(params, carried.buffers, drawn["source"].x)
            return {"source": Pass(output, torch.empty(0))}
        passes: dict[str, Pass] = {}
        for name, batch in drawn.items():
            with moments_from(rows if name == "source" else Rows(weight=batch.weight)):
                passes[name] = net.passed(params, carried.buffers, batch.x, inputs_asked(self.terms))
        return passes

    def _seen(
        self, carried: Transfer, passes: dict[str, Pass], drawn: dict[str, Batch], own: Params, step: int
    ) -> list[Seen]:
        """What each term looks at, its own weights among it."""
        anchor, found = Anchor(carried.params, None), list[Seen]()
        for place in range(len(self.terms)):
            prefix = f"{place}."
            mine = {n.removeprefix(prefix): leaf for n, leaf in own.items() if n.startswith(prefix)}
            found.append(Seen(passes, drawn, anchor, mine, step / max(self.steps, 1)))
        return found


def _labels(views: tuple[View, ...], y: Any) -> Any:
    """Shares of classes as the class with the largest one."""
    return y.argmax(-1) if any(view.soft for view in views) else y


def _named(own: Params) -> Params:
    """The terms' own weights by names that no weight of a net has."""
    return {f"terms/{name}": leaf for name, leaf in own.items()}


def _moving(net: Net, params: Params) -> Params:
    """The weights that are trained: all but those with requires_grad=False."""
    return {name: leaf for name, leaf in params.items() if name not in net.frozen}
