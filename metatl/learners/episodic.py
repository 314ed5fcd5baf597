"""Learning through adaptation: the MAML family and ProtoNet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Adaptation, Descent, QueryLoss, check_outer
from metatl.adapt.carried import check_ways
from metatl.aggregates import Aggregate, Mean
from metatl.data.source import Data, Tasks
from metatl.engines.engine import Engine
from metatl.guides.guide import TransferGuide
from metatl.learners.learner import Learner, State, moved
from metatl.learners.skipping import of_good
from metatl.net import Net
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Term
from metatl.rules import Adam, Rule
from metatl.rules.schedule import Named, Schedule, size_at
from metatl.types import Episode, Labels, MetatlError, Metrics, Params, Ragged, Transfer, Unroll

_AGGREGATE = "aggregate"
"""Where a state keeps what the aggregate goes on from."""


@dataclass(frozen=True)
class Episodic(Learner):
    """theta <- theta + rule(grad of the mean query loss after adaptation), over a stream of episodes.

    MAML (Finn, Abbeel & Levine 2017, arXiv 1703.03400), FOMAML (unroll first_order), ANIL and BOIL (a guide
    that is zero on the body or on the head), Meta-SGD (learn init_and_guide; Li et al. 2017, arXiv
    1707.09835), MAML++ (guide PerStep, multi_step; arXiv 1810.09502), ProtoNet (head Prototypes, zero steps),
    Proto-MAML: values, not classes. So are ways that move no weight but learn the net that they pass: a net
    that reads support rows (`InContext`), a solver on features (`ClosedForm`).

    Args:
        steps: outer steps.
        meta_batch: tasks per outer step.
        tasks: shape of the training episodes.
        adaptation: the inner loop in training, or another way that is differentiable in the weights.
        rule: of the outer loop.
        unroll: `full` (second order) or `first_order`.
        guide: where the guide starts; ones for None.
        learn: the initialisation, the guide beside it, or only what the adaptation learns (`MetaCurvature`'s
            factors).
        guide_rate: factor on the guide's outer step.
        multi_step: outer steps during which the query losses of all inner steps count (MAML++); 0 for none.
        schedule: of the outer step size.
        clip: bound on every entry of the outer gradient.
        clip_norm: bound on its norm.
        skip_bad_tasks: whether a task whose loss or gradient is not finite is left out of its meta-batch, and
            counted; otherwise it ends the run.
        aggregate: of the tasks' gradients.
        objective: the loss of the query rows; the adaptation's terms are those of the support rows.
    """

    steps: int = 1000
    meta_batch: int = 16
    tasks: Tasks = Tasks()
    adaptation: Adaptation = Descent()
    rule: Rule = Adam(1e-3)
    unroll: Unroll = "full"
    guide: TransferGuide | None = None
    learn: Literal["init", "init_and_guide", "prior"] = "init"
    guide_rate: float = 1.0
    multi_step: int = 0
    schedule: Named | Schedule = "constant"
    clip: float | None = None
    skip_bad_tasks: bool = False
    aggregate: Aggregate = Mean()
    objective: Term = TaskLoss()
    clip_norm: float | None = None

    def outputs(self, data: Data) -> int:
        """What an episode needs."""
        return data.outputs(self.tasks)

    def numbering(self, data: Data) -> Labels:
        """What its tasks' labels stand for."""
        return data.numbering(self.tasks)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """Episodes must be possible, a carried output layer must fit, Adam must be differentiable."""
        data.check("meta_train", self.tasks)
        check_ways(self.adaptation.carries, self.tasks)
        check_outer(self.objective)
        if self.learn == "prior" and not self.adaptation.prior(net, start):
            raise MetatlError(
                "Episodic: learn is prior, and the adaptation learns nothing beside the weights; let its "
                "rule be MetaCurvature, say"
            )
        rows, way = net.rows(start.params), self.adaptation
        if not isinstance(way, Descent):
            if not way.batched:
                raise MetatlError(f"{type(way).__name__} is not differentiable; learn through another way")
            way.check(net.with_outputs(self.outputs(data)), start, data.kind == "regression")
            return
        if not way.head.fresh and rows != self.outputs(data):
            raise MetatlError(
                f"the start's output layer has {rows} rows but the episodes need {self.outputs(data)}; "
                "choose a fresh head (Zeros, Prototypes, Ridge) or another start"
            )
        rule = way.rule
        if self.unroll == "full" and not rule.differentiable:
            raise MetatlError(
                f"the inner {type(rule).__name__} cannot be differentiated where a gradient is 0 (NaN); set "
                "its eps_root, 1e-8 say, or unroll first_order"
            )

    def draw(self, data: Data, seed: int, step: int) -> Episode | Ragged:
        """One meta-batch of meta_train."""
        return data.draw("meta_train", self.tasks, seed, step * self.meta_batch, self.meta_batch)

    def init(self, net: Net, start: Transfer) -> State:
        """The start, with its guide and the rule's memory."""
        guide = start.guide if self.guide is None else net.held(self.guide(net, start))
        prior = {f"prior.{name}": leaf for name, leaf in self.adaptation.prior(net, start).items()}
        like = next(iter(start.params.values()))
        prior = {name: leaf.to(like) for name, leaf in prior.items()}
        carried = replace(start, guide=guide, memory={**prior, **start.memory})
        memory = self.rule.init(self.loss(net, State(carried, 0, {})).variables)
        if self.skip_bad_tasks:
            memory["skipped"] = {"tasks": torch.zeros((), dtype=torch.int64)}
        if aggregated := self.aggregate.init(0):
            memory[_AGGREGATE] = aggregated
        return State(carried, 0, memory)

    def loss(self, net: Net, state: State) -> QueryLoss:
        """What this state's meta-gradient is taken of; its variables are what is learned."""
        carried = state.transfer
        weights = self._step_weights(state.step, next(iter(carried.params.values())))
        learn_guide = self.learn == "init_and_guide"
        how = (self.unroll, learn_guide, weights, self.objective, self.learn != "prior")
        return QueryLoss(net, self.adaptation, carried, *how)

    def step(self, net: Net, engine: Engine, state: State, drawn: Episode | Ragged) -> tuple[State, Metrics]:
        """One meta-batch."""
        loss, memory = self.loss(net, state), dict(state.memory)
        grads, metrics, aggregated, bad = self._gradient(engine, loss, drawn, memory.pop(_AGGREGATE, {}))
        metrics["outer_gradient_norm"] = tree.norm(grads)
        size = size_at(self.schedule, state.step, self.steps)
        after, memory = moved(self.rule, loss.variables, grads, memory, size, self.clip, self.clip_norm)
        if aggregated:
            memory = {**memory, _AGGREGATE: aggregated}
        if self.skip_bad_tasks:
            memory = {**memory, "skipped": {"tasks": state.memory["skipped"]["tasks"] + bad}}
            metrics["tasks_skipped"] = memory["skipped"]["tasks"]
        return State(self._carried(state.transfer, after), state.step + 1, memory), metrics

    def _gradient(
        self, engine: Engine, loss: QueryLoss, drawn: Episode | Ragged, state: Params
    ) -> tuple[Params, Metrics, Params, int]:
        variables, calls = loss.variables, self.steps
        if self.skip_bad_tasks:
            return of_good(self.aggregate, engine, loss, variables, drawn, state, calls)
        return *self.aggregate.over_tasks(engine, loss, variables, drawn, state, calls), 0

    def _carried(self, before: Transfer, after: Params) -> Transfer:
        """The transfer with what was learned; the guide takes `guide_rate` of its step."""
        params = {name: after.get("params." + name, leaf) for name, leaf in before.params.items()}
        guide = {
            name: g + self.guide_rate * (after[key] - g) if (key := "guide." + name) in after else g
            for name, g in before.guide.items()
        }
        memory = {name: after.get(name, leaf) for name, leaf in before.memory.items()}
        return replace(before, params=params, guide=guide, memory=memory)

    def capturable(self, step: int) -> bool:
        """Once the losses of the early inner steps have gone: every step is alike from there."""
        looks = self.skip_bad_tasks or not self.aggregate.capturable or self.tasks.varied  # at numbers
        return step >= self.multi_step and not looks

    def remark(self, state: State) -> str:
        """How many tasks were skipped."""
        skipped = int(state.memory["skipped"]["tasks"]) if self.skip_bad_tasks else 0
        if not skipped:
            return ""
        return f"{skipped} of {state.step * self.meta_batch} tasks skipped: loss or gradient not finite"

    def _step_weights(self, step: int, like: Tensor) -> Tensor | None:
        """MAML++: 1/S for each inner step at first; the early ones fall to 0.03/S, the last has the rest."""
        inner = self.adaptation.steps
        if isinstance(step, Tensor) or step >= self.multi_step or inner < 2:  # a tensor: `capturable`
            return None
        early = max(1.0 - step / self.multi_step, 0.03) / inner
        values = [0.0, *[early] * (inner - 1), 1.0 - early * (inner - 1)]
        return torch.tensor(values, dtype=like.dtype, device=like.device)
