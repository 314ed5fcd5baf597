"""Adaptation: the inner loop, written once, for meta-training, scouting, evaluation and personalisation.

    theta <- theta + guide * rule(grad objective)

Everything here is a pure function of one task; engines run many tasks at once by mapping over it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from metatl import tree
from metatl.heads import Head, Learned
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.objectives.task_loss import TaskLoss, nll
from metatl.objectives.term import Anchor, Term, total
from metatl.rules import SGD, Rule
from metatl.types import Batch, Episode, Guide, Metrics, Moments, Params, Transfer, Unroll

Guided = Literal["update", "gradient"]


class SupportGuide(ABC):
    """A guide computed anew for every task from its support set (FISH masks, relative gradient norms)."""

    @abstractmethod
    def __call__(self, net: Net, params: Params, output: Callable[[Params], Tensor], support: Batch) -> Guide:
        """The guide, which multiplies the transfer's; `output` gives the support logits for weights."""


class Point(NamedTuple):
    """A point of an inner trajectory: the weights, and the support loss there (None behind the last step)."""

    params: Params
    loss: Tensor | None


class Piece(NamedTuple):
    """The support rows of one inner step, and the frozen reference's outputs on them where a term asks."""

    batch: Batch
    anchor_output: Tensor | None


@dataclass(frozen=True)
class Adaptation:
    """How a transfer becomes a task's weights: head, then `steps` of theta <- theta + guide * rule(gradient).

    Args:
        rule: proposes the updates.
        steps: inner steps.
        head: how the output layer starts.
        terms: the objective on the support rows.
        moments: which rows give batch norm its moments in predictions; `batch` is transductive.
        batch_size: support rows per step, contiguous and cycling; all rows for None.
        guide_from_support: a guide computed per task, multiplied with the transfer's.
        guided: what the guide scales: the finished `update`, or the `gradient` before the rule, as both published
            GTL code bases do (under Adam that cancels all but the zeros).
    """

    rule: Rule = SGD(0.1)
    steps: int = 5
    head: Head = Learned()
    terms: tuple[Term, ...] = (TaskLoss(),)
    moments: Moments = "support"
    batch_size: int | None = None
    guide_from_support: SupportGuide | None = None
    guided: Guided = "update"

    def __call__(
        self, net: Net, transfer: Transfer, support: Batch, unroll: Unroll = "first_order"
    ) -> Params:
        """The adapted weights of one task."""
        params = transfer.params
        for point in self.trajectory(net, transfer, support, unroll):
            params = point.params
        return params

    def trajectory(
        self,
        net: Net,
        transfer: Transfer,
        support: Batch,
        unroll: Unroll,
        moving: frozenset[str] | None = None,
    ) -> Iterator[Point]:
        """The weights before the first step and behind every step.

        moving: names whose guide is not zero throughout; the others are passed through untouched, at no cost.
        """
        with moments_from(Rows(frozen=self.moments == "frozen")):
            params, guide = self.head.init(net, transfer, support)
            frozen = tree.detach(params)
            if self.guide_from_support is not None and self.steps:
                extra = self.guide_from_support(
                    net, frozen, lambda p: net(p, transfer.buffers, support.x), support
                )
                guide = {name: guide[name] * extra[name] for name in params}
            output = None
            if any(term.needs_anchor_output for term in self.terms):
                output = net(frozen, transfer.buffers, support.x).detach()

        def objective(weights: Params, piece: Piece) -> Tensor:
            with moments_from(Rows(frozen=self.moments == "frozen")):
                rows = net(weights, transfer.buffers, piece.batch.x)
            return total(self.terms, weights, rows, piece.batch, Anchor(frozen, piece.anchor_output))

        free = (
            None if moving is None else (moving | {n for n in params if self.head.fresh and net.is_head(n)})
        )
        pieces = _pieces(Piece(support, output), self.batch_size, self.steps)
        return descend(
            objective,
            params,
            pieces,
            rule=self.rule,
            guide=guide,
            unroll=unroll,
            moving=free,
            guided=self.guided,
        )


def _pieces(support: Piece, size: int | None, steps: int) -> Iterator[Piece]:
    rows = support.batch.x.shape[0]
    for step in range(steps):
        if size is None or size >= rows:
            yield support
            continue
        index = [(step * size + i) % rows for i in range(size)]
        start = index[0]
        # A slice is a view; only a step that wraps around the end has to gather.
        where = (
            slice(start, start + size)
            if start + size <= rows
            else torch.tensor(index, device=support.batch.x.device)
        )
        picked = None if support.anchor_output is None else support.anchor_output[where]
        yield Piece(Batch(support.batch.x[where], support.batch.y[where]), picked)


def guide_at(guide: Guide, params: Params, step: int) -> Guide:
    """The guide of one inner step: entries with one axis more than their weight are indexed along it (the last
    row serves all later steps).
    """
    return {
        name: entry[min(step, entry.shape[0] - 1)] if entry.dim() == params[name].dim() + 1 else entry
        for name, entry in guide.items()
    }


def descend(
    objective: Callable[[Params, Piece], Tensor],
    params: Params,
    pieces: Iterator[Piece],
    *,
    rule: Rule,
    guide: Guide,
    unroll: Unroll,
    moving: frozenset[str] | None = None,
    guided: Guided = "update",
) -> Iterator[Point]:
    """Guided descent: theta <- theta + guide * rule(grad objective(theta)), a point before and after every step.

    unroll: `full` differentiates through the gradients; `first_order` takes them as constants, and then nothing of
    the inner passes is recorded for the outer derivative.
    """
    free, still = tree.split(params, lambda name: moving is None or name in moving)
    first_order = unroll == "first_order"
    fixed = tree.detach(still) if first_order else still
    state = rule.init(free)
    for step, piece in enumerate(pieces):
        point = tree.detach(free) if first_order else free

        def loss_at(weights: Params, piece: Piece = piece) -> Tensor:
            return objective(_in_order(params, weights, fixed), piece)

        grads, loss = grad_and_value(loss_at)(point)
        yield Point(_in_order(params, free, still), loss)
        grads = tree.detach(grads) if first_order else grads
        scale = guide_at({name: guide[name] for name in free}, free, step)
        if guided == "gradient":
            grads = tree.map(torch.mul, grads, scale)
        updates, state = rule.update(grads, state, free)
        if guided == "update":
            updates = tree.map(torch.mul, updates, scale)
        free = tree.add(free, updates)
    yield Point(_in_order(params, free, still), None)


def _in_order(names: Params, free: Params, still: Params) -> Params:
    return {name: free[name] if name in free else still[name] for name in names}


def predict(net: Net, params: Params, transfer: Transfer, episode: Episode, moments: Moments) -> Tensor:
    """Outputs for the query rows [n, outputs] under adapted weights.

    `batch`: batch norm sees all query rows (transductive). `support`: it sees the support rows, which pass along in
    front, so a query's prediction does not depend on the other queries. `frozen`: it uses the running moments.
    """
    with moments_from(Rows(frozen=moments == "frozen")):
        if moments != "support" or not net.batch_moments:
            return net(params, transfer.buffers, episode.query.x)
    rows = episode.support.x.shape[0]
    with moments_from(Rows(first=rows)):
        return net(params, transfer.buffers, torch.cat([episode.support.x, episode.query.x]))[rows:]


def score(output: Tensor, y: Tensor) -> Tensor:
    """Accuracy in [0, 1] for class labels, mean squared error for real targets; 0-d."""
    if y.is_floating_point():
        return nll(output, y)
    return (output.argmax(-1) == y).to(output.dtype).mean()


def query_loss(
    net: Net,
    adaptation: Adaptation,
    transfer: Transfer,
    episode: Episode,
    unroll: Unroll,
    moving: frozenset[str] | None = None,
    step_weights: Tensor | None = None,
) -> tuple[Tensor, Metrics]:
    """The outer loss of one task: query loss behind the last step, or a weighted sum over steps (MAML++).

    step_weights: [steps + 1], one weight for every point of the trajectory, the start included.
    """
    points = list(adaptation.trajectory(net, transfer, episode.support, unroll, moving))
    output = predict(net, points[-1].params, transfer, episode, adaptation.moments)
    last = nll(output, episode.query.y)
    loss = last
    if step_weights is not None:
        loss = last * step_weights[-1]
        for weight, point in zip(step_weights[:-1], points[:-1], strict=True):
            early = predict(net, point.params, transfer, episode, adaptation.moments)
            loss = loss + weight * nll(early, episode.query.y)
    metrics = {f"inner_loss/{i}": p.loss.detach() for i, p in enumerate(points) if p.loss is not None}
    metrics["query_loss"] = last.detach()
    metrics["query_score"] = score(output.detach(), episode.query.y)
    return loss, metrics


def displacement(net: Net, adaptation: Adaptation, transfer: Transfer, support: Batch) -> Params:
    """How far one task's adaptation moves every carried weight: adapt(theta, task) - theta.

    Reptile moves the initialisation by its mean over tasks, GTL's raw guide is its second moment, and the second
    moment of one SGD step of rate 1 on single examples is the diagonal empirical Fisher information. A fresh output
    layer is not carried and has no displacement.
    """
    moved = adaptation(net, transfer, support)
    kept = {n: p for n, p in transfer.params.items() if not (adaptation.head.fresh and net.is_head(n))}
    return {name: moved[name].detach() - p for name, p in kept.items()}
