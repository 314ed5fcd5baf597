"""What a task's adapted weights are worth: predictions on its query set, their score, the outer loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from metatl import tree
from metatl.adapt.adaptation import Adaptation
from metatl.adapt.carried import prior_in
from metatl.adapt.covering import check_guide, moving_names
from metatl.adapt.descent import Descent
from metatl.adapt.prediction import predict
from metatl.adapt.scoring import score
from metatl.loss import Loss
from metatl.net import Net
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, Episode, MetatlError, Metrics, Params, Transfer, Unroll


def query_loss(
    net: Net,
    adaptation: Adaptation,
    transfer: Transfer,
    episode: Episode,
    unroll: Unroll,
    moving: frozenset[str] | None = None,
    step_weights: Tensor | None = None,
    objective: Term = TaskLoss(),
) -> tuple[Tensor, Metrics]:
    """The outer loss of one task: query loss after the last step, or a weighted sum over steps (MAML++).

    step_weights: [steps + 1], one weight for every point of the trajectory, the start included; objective:
    the loss of the outputs for the query rows. A way without steps has one point, its answer.
    """
    if not isinstance(adaptation, Descent):
        output = adaptation.learned_output(net, transfer, episode)
        loss = outer(objective, transfer.params, output, episode.query)
        read = adaptation.read(tree.apply(Tensor.detach, output), episode.query.y)
        return loss, {"query_loss": loss.detach(), "query_score": score(read, episode.query.y)}
    points = list(adaptation.trajectory(net, transfer, episode.support, unroll, moving))
    output = predict(net, points[-1].params, transfer, episode, adaptation.moments)
    last = outer(objective, points[-1].params, output, episode.query)
    loss = last
    if step_weights is not None:
        loss = last * step_weights[-1]
        for weight, point in zip(step_weights[:-1], points[:-1], strict=True):
            early = predict(net, point.params, transfer, episode, adaptation.moments)
            loss = loss + weight * outer(objective, point.params, early, episode.query)
    metrics = {f"inner_loss/{i}": p.loss.detach() for i, p in enumerate(points) if p.loss is not None}
    metrics["query_loss"] = last.detach()
    metrics["query_score"] = score(tree.apply(Tensor.detach, output), episode.query.y)
    return loss, metrics


def outer(objective: Term, params: Params, output: Any, query: Batch) -> Tensor:
    """A term's value on query rows, 0-d, where no start of a task is held on to."""
    return objective(params, output, query, Anchor({}, None))


def check_outer(objective: Term) -> None:
    """Raise MetatlError for a term that is no loss of one stream's outputs alone."""
    if objective.needs_anchor or objective.streams != ("source",):
        raise MetatlError(
            f"{type(objective).__name__} is no loss of query rows; give TaskLoss, CrossEntropy or the like"
        )


@dataclass(frozen=True, eq=False)
class QueryLoss(Loss):
    """`query_loss` as a function of the initialisation, and of the guide where that is learned.

    Variables are named `params.<weight>`, `guide.<weight>` and `prior.<name>` (what is learned
    beside them); weights with requires_grad=False are none.
    Raises MetatlError naming a weight without a guide, or with one that does not broadcast to it.

    net, adaptation: the inner problem; transfer: where it starts; unroll: how it is differentiated;
    learn_guide: whether the guide is a variable too; step_weights: [steps + 1] weights of the query losses
    along the trajectory, None for the last one alone; objective: the loss of the query rows; learn_init:
    whether the initialisation is a variable.
    """

    net: Net
    adaptation: Adaptation
    transfer: Transfer
    unroll: Unroll = "full"
    learn_guide: bool = False
    step_weights: Tensor | None = None
    objective: Term = TaskLoss()
    learn_init: bool = True

    def __post_init__(self) -> None:
        """Raise MetatlError for a guide that does not cover every weight."""
        if self.adaptation.guided_by_transfer:
            check_guide(self.transfer)

    @property
    def descent(self) -> Descent:
        """The adaptation as the inner loop that it is; MetatlError for another way."""
        if not isinstance(self.adaptation, Descent):
            raise MetatlError(
                f"{type(self.adaptation).__name__} has no inner loop for a peer's engine; choose engine "
                "Batched or Loop"
            )
        return self.adaptation

    @property
    def twice(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether an inner loop is unrolled."""
        return self.unroll == "full" and self.adaptation.guided_by_transfer

    @cached_property
    def variables(self) -> Params:
        """What it may be differentiated by, in a fixed order."""
        still, (params, guide, _, _) = self.net.frozen, self.transfer.groups()
        learned = params if self.learn_init else {}
        found = {f"params.{name}": leaf for name, leaf in learned.items() if name not in still}
        if self.learn_guide:
            found |= {f"guide.{name}": leaf for name, leaf in guide.items() if name not in still}
        return found | {f"prior.{name}": leaf for name, leaf in prior_in(self.transfer).items()}

    @cached_property
    def moving(self) -> frozenset[str] | None:
        """Names whose guide is not zero throughout; None when the guide itself is a variable."""
        return None if self.learn_guide else moving_names(self.transfer)

    @cached_property
    def held(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The transfer without the variables, and the weights of the steps."""
        variables = self.variables
        params, guide, buffers, memory = self.transfer.groups()
        memory = {name: leaf for name, leaf in memory.items() if name not in variables}
        still = {name: leaf for name, leaf in params.items() if f"params.{name}" not in variables}
        fixed = {name: leaf for name, leaf in guide.items() if f"guide.{name}" not in variables}
        return still, fixed, buffers, memory, self.step_weights

    def carried(self, variables: Params, held: Any) -> Transfer:
        """The transfer with these variables in it."""
        still, fixed, buffers, memory, _ = held
        params = {name: variables.get(f"params.{name}", still.get(name)) for name in self.transfer.params}
        guide = {name: variables.get(f"guide.{name}", fixed.get(name)) for name in self.transfer.guide}
        memory = {name: variables.get(name, memory.get(name)) for name in self.transfer.memory}
        return Transfer(params, guide, buffers, memory)  # pyright: ignore[reportArgumentType]

    def through(self) -> Net:
        """The net."""
        return self.net

    def __call__(self, variables: Params, held: Any, task: Episode) -> tuple[Tensor, Metrics]:
        """`query_loss` of the task."""
        carried, weights = self.carried(variables, held), held[-1]
        given = (self.unroll, self.moving, weights, self.objective)
        return query_loss(self.net.for_task(task), self.adaptation, carried, task, *given)

    def key(self) -> Hashable:
        """Net and adaptation by identity, what moves, how it is unrolled, what is learned."""
        net, unrolled = self.net, (self.unroll, self.learn_guide, self.learn_init)
        inner = (id(self.adaptation), self.moving, *unrolled, id(self.objective))
        return id(net.module), net.additions, net.through, net.outputs, *inner

    def words(self) -> str:
        """The net by identity, the adaptation by what it says of itself."""
        return repr((id(self.net.module), self.adaptation, self.unroll, self.objective))

    def ready(self, ready: Callable[[Net], Net]) -> QueryLoss:
        """The same loss through the net as an engine runs it fastest."""
        made = copy.copy(self)  # with what it has found out already
        object.__setattr__(made, "net", ready(self.net))
        return made

    def probe(self, variables: Params, task: Episode, rows: int | None = None) -> Any:
        """A pass over support rows."""
        carried = self.carried(variables, self.held)
        x = self.adaptation.given(task.support, tree.apply(lambda leaf: leaf[:rows], task.support.x))
        return self.net(carried.params, carried.buffers, x)

    def passed_rows(self, task: Episode) -> int:
        """Of all unrolled inner steps, or of one in first order; of the support and the query rows."""
        rows, queries = tree.rows(task.support.x), tree.rows(task.query.x)
        steps = self.adaptation.steps if self.unroll == "full" else 1
        size = self.adaptation.batch_size or rows
        return max(steps, 1) * min(size, rows) + rows + queries
