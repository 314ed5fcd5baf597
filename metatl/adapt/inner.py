"""One task's inner problem: where it starts, what it looks at in every step, and the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.anew import Anew, renewal, started
from metatl.adapt.carried import importance_in
from metatl.adapt.descend import Guided
from metatl.data.counter import first_of_shuffle, number
from metatl.net import Net
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Term, total
from metatl.rules.clipping import check_clip_norm
from metatl.types import Batch, Guide, MetatlError, Moments, Params, Transfer
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
            yield tree.at(rows, _shuffled(order, begin, size, held, device))
            continue
        index = [(begin + i) % held for i in range(size)]
        start = index[0]
        # A slice is a view; only a step that wraps around the end has to gather.
        where = slice(start, start + size) if start + size <= held else torch.tensor(index, device=device)
        yield tree.at(rows, where)


def _shuffled(key: int, begin: int, size: int, held: int, device: torch.device) -> Tensor:
    """Places begin .. begin + size - 1 of an endless stream of shuffled epochs of `held` rows."""

    def epoch(number_of: int) -> Tensor:
        own = torch.full((), number(key, number_of), dtype=torch.int64, device=device)
        return first_of_shuffle(own, held, held, held)

    first = begin // held
    stream = torch.cat([epoch(i) for i in range(first, (begin + size - 1) // held + 1)])
    return stream[begin - first * held :][:size]


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


def pieces_of(descent: Descent, rows: Step, key: int) -> Iterator[Step]:
    """The rows of every step of a descent, before its views."""
    order = number(key, _ORDER) if descent.shuffle else None
    return pieces(rows, descent.batch_size, descent.steps, order)


def check_given(descent: Descent) -> None:
    """Raise MetatlError for values of a descent that mean nothing."""
    if descent.steps < 0 or (descent.batch_size is not None and descent.batch_size < 1):
        raise MetatlError("adaptation: steps must be 0 or more, batch_size 1 or more (or left out)")
    if descent.moments not in get_args(Moments) or descent.guided not in get_args(Guided):
        raise MetatlError(
            f"adaptation: moments is one of {', '.join(get_args(Moments))}, guided one of "
            f"{', '.join(get_args(Guided))}; they are {descent.moments!r} and {descent.guided!r}"
        )
    if not descent.terms:
        raise MetatlError("adaptation: terms is empty; TaskLoss is the plain objective")
    if descent.anew not in get_args(Anew) or not 0.0 <= descent.average <= 1.0:
        raise MetatlError(
            f"adaptation: anew is one of {', '.join(get_args(Anew))}, average a share from 0 to 1; they are "
            f"{descent.anew!r} and {descent.average}"
        )
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
    rows = pieces_of(descent, Piece(support, anchor), key)
    if descent.views:
        rows = _seen(rows, descent.views, key, net.outputs, anchored if asked else None)
    fresh = descent.fresh(net, transfer)
    importance = importance_in(transfer.memory)

    def objective(weights: Params, output: Tensor, piece: Piece) -> Tensor:
        anchor = Anchor(frozen, piece.anchor_output, fresh, importance)
        return total(descent.terms, weights, output, piece.batch, anchor)

    if descent.anew == "never":
        return Inner(params, guide, rows, objective)
    return Inner(params, guide, rows, objective, renewal(descent, net, transfer, support))
