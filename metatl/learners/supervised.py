"""Ordinary training on batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metatl.adapt import score
from metatl.data.source import Data
from metatl.engines.engine import Engine, gradient_of
from metatl.learners.learner import Learner, Schedule, State, moved, size_at
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Term, total
from metatl.rules import Adam, Rule
from metatl.types import Batch, MetatlError, Metrics, Params, Transfer


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
    """

    steps: int = 1000
    batch_size: int = 64
    rule: Rule = Adam(1e-3)
    terms: tuple[Term, ...] = (TaskLoss(),)
    schedule: Schedule = "cosine"
    moment_rate: float = 0.1

    def outputs(self, data: Data) -> int:
        """The number of source classes, or of the regression's targets."""
        return max(data.classes("meta_train"), 1)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """The carried output layer must have a row for every source class; no term may hold a start."""
        for term in self.terms:
            if term.needs_anchor:
                raise MetatlError(
                    f"{type(term).__name__} holds the start of a task and stands in an adaptation's terms; "
                    "pre-training has none"
                )
        if data.kind == "classification" and not data.classes("meta_train"):
            raise MetatlError(
                f"{data.name} gives tasks whose labels are their own, and no classes to train on; learn "
                "from its episodes (Episodic, Reptile, Scout)"
            )
        rows = net.rows(start.params)
        if rows != self.outputs(data):
            raise MetatlError(
                f"the start's output layer has {rows} rows but the data has {self.outputs(data)} source "
                "classes; leave `start` out or start from a run on the same classes"
            )

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """One mini-batch of meta_train."""
        return data.batch("meta_train", self.batch_size, seed, step)

    def init(self, net: Net, start: Transfer) -> State:
        """The start, with the rule's memory."""
        return State(start, 0, self.rule.init(_moving(net, start.params)))

    def step(self, net: Net, engine: Engine, state: State, drawn: Batch) -> tuple[State, Metrics]:
        """One mini-batch."""
        carried = state.transfer
        params = {name: p.detach().requires_grad_() for name, p in carried.params.items()}
        rows = Rows(sink={})
        with net.training(), moments_from(rows):
            output = net(params, carried.buffers, drawn.x)
        loss = total(self.terms, params, output, drawn, Anchor(carried.params, None))
        before = _moving(net, carried.params)
        grads = dict(zip(before, gradient_of(loss, [params[name] for name in before]), strict=True))
        size = size_at(self.schedule, state.step, self.steps)
        new, memory = moved(self.rule, before, grads, state.memory, size, None)
        buffers = net.updated_buffers(carried.buffers, rows.sink or {}, self.moment_rate)
        metrics = {"loss": loss.detach(), "score": score(output.detach(), drawn.y)}
        return State(
            replace(carried, params={**carried.params, **new}, buffers=buffers), state.step + 1, memory
        ), metrics


def _moving(net: Net, params: Params) -> Params:
    """The weights that are trained: all but those with requires_grad=False."""
    return {name: leaf for name, leaf in params.items() if name not in net.frozen}
