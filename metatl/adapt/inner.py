"""One task's inner problem: where it starts, what it looks at in every step, and the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.anew import renewal, started
from metatl.adapt.carried import importance_in
from metatl.data.balance import balanced_epoch, part_of
from metatl.data.counter import first_of_shuffle, number
from metatl.net import Net
from metatl.norm_calls import transformed
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Term, total
from metatl.rules.clipping import check_clip_norm
from metatl.types import Batch, Guide, MetatlError, Params, Transfer
from metatl.views import View, check_views, viewed

if TYPE_CHECKING:
    from metatl.adapt.descent import Descent

Step = TypeVar("Step", bound=Any)
"""Rows of one step, of any nested tensors."""
_ORDER, _VIEWS = range(2)


class Piece(NamedTuple):
    """The support rows of one inner step, and the frozen reference's outputs on them where a term asks."""

    batch: Batch
    anchor_output: Tensor | None


class Inner(NamedTuple):
    """One task's inner problem, whoever descends on it.

    params: the start, output layer included; guide: scales of the updates; pieces: the rows of every step;
    objective: (weights, the net's output on a piece's rows, that piece) -> scalar; anew: (step, weights) ->
    the guide with which the rule starts anew there, None where both go on.
    """

    params: Params
    guide: Guide
    pieces: Iterator[Piece]
    objective: Callable[[Params, Tensor, Piece], Tensor]
    anew: Callable[[int, Params], Guide | None] | None = None


def pieces(rows: Step, size: int | None, steps: int, order: int | None = None) -> Iterator[Step]:
    """The rows of every step, of any nested tensors: `size` contiguous ones, cycling; all for None.

    order: a key, under which every epoch has an order of its own; a batch may end one and begin the next.
    """
    held = tree.rows(rows)
    for step in range(steps):
        if size is None or size >= held:
            yield rows
            continue
        begin, device = step * size, tree.first(rows).device
        if order is not None:

            def epoch(number_of: int, key: int = order, at: torch.device = device) -> Tensor:
                own = torch.full((), number(key, number_of), dtype=torch.int64, device=at)
                return first_of_shuffle(own, held, held, held)

            yield tree.at(rows, part_of(epoch, held, begin, begin + size))
            continue
        index = [(begin + i) % held for i in range(size)]
        start = index[0]
        # A slice is a view; only a step that wraps around the end has to gather.
        where = slice(start, start + size) if start + size <= held else torch.tensor(index, device=device)
        yield tree.at(rows, where)


def _seen(
    given: Iterator[Piece],
    views: tuple[View, ...],
    key: int,
    outputs: int,
    anchored: Callable[[Batch], Tensor] | None,
) -> Iterator[Piece]:
    """Every step's rows through the views; anchored: outputs of the frozen reference, if asked for."""
    for step, piece in enumerate(given):
        batch = viewed(views, number(key, _VIEWS, step), piece.batch, outputs)
        yield Piece(batch, None if anchored is None else anchored(batch))


def check_mixing(views: tuple[View, ...], terms: tuple[Term, ...], labels: bool) -> None:
    """Raise MetatlError where views mix class labels and a term would take the shares for real targets."""
    check_views(views, not (labels and any(isinstance(term, TaskLoss) for term in terms)))


def pieces_of(descent: Descent, rows: Step, support: Batch, key: int) -> Iterator[Step]:
    """The rows of every step of a descent, before its views; support: whose labels balance draws."""
    order = number(key, _ORDER)
    if descent.balance is not None:
        return balanced_pieces(rows, descent, support, order)
    return pieces(rows, descent.batch_size, descent.steps, order if descent.shuffle else None)


def balanced_pieces(rows: Step, descent: Descent, support: Batch, order: int) -> Iterator[Step]:
    """The rows of every step from epochs with as many rows of each class; a whole epoch without batch_size.

    Rows of weight 0 are none. MetatlError for targets that are no labels, and under vmap.
    """
    y, weight, balance = support.y, support.weight, descent.balance
    assert balance is not None
    if not isinstance(y, Tensor) or y.dtype == torch.bool or y.is_floating_point() or y.dim() != 1:
        raise MetatlError("balance draws rows by their class; it needs class labels, one a row")
    if transformed(y, *([] if weight is None else [weight])):
        raise MetatlError("balanced draws read labels, which no batch of tasks can; choose engine Loop")
    places = torch.arange(len(y), device=y.device) if weight is None else weight.nonzero()[:, 0]
    labels = y[places].long()

    def epoch(number_of: int) -> Tensor:
        return places[balanced_epoch(labels, balance, number(order, number_of))]

    length = len(epoch(0))
    size = descent.batch_size or length
    for step in range(descent.steps):
        yield tree.at(rows, part_of(epoch, length, step * size, (step + 1) * size))


def check_given(descent: Descent) -> None:
    """Raise MetatlError for values of a descent that mean nothing."""
    if descent.steps < 0 or (descent.batch_size is not None and descent.batch_size < 1):
        raise MetatlError("adaptation: steps must be 0 or more, batch_size 1 or more (or left out)")
    if not descent.terms:
        raise MetatlError("adaptation: terms is empty; TaskLoss is the plain objective")
    if not 0.0 <= descent.average <= 1.0:
        raise MetatlError(f"adaptation: average is a share from 0 to 1; it is {descent.average}")
    check_clip_norm(descent.clip_norm, "adaptation")


def check_whole(descent: Descent) -> None:
    """Raise MetatlError for a descent that stops early where all of its steps are looked at."""
    if descent.stopping is not None:
        raise MetatlError(
            "early stopping acts where a task is fitted, task by task; leave stopping out of a learner's "
            "adaptation"
        )


def inner_of(descent: Descent, net: Net, transfer: Transfer, support: Batch, key: int) -> Inner:
    """The problem that a descent descends on; raises MetatlError where a term cannot take mixed labels."""
    labels = any(not y.is_floating_point() for y in tree.leaves(support.y))
    check_mixing(descent.views, descent.terms, labels)
    with descent.support_moments(support.weight):
        params, guide = started(descent, net, transfer, support)
        frozen = tree.detach(params)

    def anchored(batch: Batch) -> Tensor:
        with descent.support_moments(batch.weight):
            return net(frozen, transfer.buffers, batch.x).detach()

    asked, anchor = any(term.needs_anchor_output for term in descent.terms), None
    if asked and not descent.views:
        anchor = anchored(support)
    rows = pieces_of(descent, Piece(support, anchor), support, key)
    if descent.views:
        rows = _seen(rows, descent.views, key, net.outputs, anchored if asked else None)
    fresh = descent.fresh(net, transfer)
    importance = importance_in(transfer.memory)

    def objective(weights: Params, output: Tensor, piece: Piece) -> Tensor:
        anchor = Anchor(frozen, piece.anchor_output, fresh, importance, transfer.memory)
        return total(descent.terms, weights, output, piece.batch, anchor)

    if descent.anew == "never":
        return Inner(params, guide, rows, objective)
    return Inner(params, guide, rows, objective, renewal(descent, net, transfer, support))
