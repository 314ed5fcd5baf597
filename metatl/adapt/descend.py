"""Guided descent: the update rule of every inner loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.func import grad_and_value

from metatl import tree
from metatl.deadline import in_time
from metatl.norm_calls import transforming
from metatl.rules import Rule, RuleState
from metatl.rules.clipping import clipped
from metatl.rules.rule import unwatched
from metatl.types import Guide, MetatlError, Params, Unroll

Guided = Literal["update", "gradient"]
"""What a guide scales: the finished update, or the gradient before the rule."""
Step = TypeVar("Step", bound=Any)
"""What an objective is given of the rows of one step."""


class Point(NamedTuple):
    """A point of an inner trajectory.

    params: the weights; loss: the support loss there, None after the last step; rule_state: the rule's
    memory there, of the weights that move.
    """

    params: Params
    loss: Tensor | None
    rule_state: RuleState


def guide_at(guide: Guide, params: Params, step: int) -> Guide:
    """The guide of one inner step: an entry with one axis more than its weight is indexed along it.

    The last row serves all later steps.
    """
    return {
        name: entry[min(step, entry.shape[0] - 1)] if entry.dim() == params[name].dim() + 1 else entry
        for name, entry in guide.items()
    }


def descend(
    objective: Callable[[Params, Step], Tensor],
    params: Params,
    pieces: Iterator[Step],
    *,
    rule: Rule,
    guide: Guide,
    unroll: Unroll,
    moving: frozenset[str] | None = None,
    guided: Guided = "update",
    memory: Params | None = None,
    size: Callable[[int], Any] | None = None,
    clip_norm: float | None = None,
    anew: Callable[[int, Params], Guide | None] | None = None,
) -> Iterator[Point]:
    """Guided descent, theta <- theta + guide * rule(grad objective(theta)), point by point.

    unroll: `full` differentiates through the gradients; `first_order` takes them as constants, and then
    nothing of the inner passes is recorded for the outer derivative. memory: what earlier tasks left to the
    rule; size: a factor on each step; clip_norm: bound on the gradient's norm (see `clipped`); anew: (step,
    weights) -> the guide with which the rule starts anew before that step, None where both go on.

    Raises MetatlError for a weight without a guide.
    """
    for name in params:
        if name not in guide:
            raise MetatlError(f"the guide has no entry for weight '{name}'; every weight must be covered")
    free, still = tree.split(params, lambda name: moving is None or name in moving)
    if not free:  # a guide of zeros alone: the losses are still wanted
        free, still = still, free
    first_order = unroll == "first_order"
    fixed = tree.detach(still) if first_order else still
    state = rule.resume(_wide(free), memory or {})
    for step, piece in enumerate(pieces):
        in_time()
        if step and anew and (again := anew(step, _in_order(params, free, still))) is not None:
            guide, state = again, rule.init(_wide(free))
        point = tree.detach(free) if first_order else free

        def loss_at(weights: Params, piece: Step = piece) -> Tensor:
            return objective(_in_order(params, weights, fixed), piece)

        grads, loss = _gradient(loss_at, point, first_order)
        yield Point(_in_order(params, free, still), loss, state)
        grads = tree.detach(grads) if first_order else grads
        scale = guide_at({name: guide[name] for name in free}, free, step)
        grads = clipped(grads, clip_norm, scale)
        if guided == "gradient":
            grads = tree.map(torch.mul, grads, scale)
        wide = _wide(free)
        updates, state = rule.update(_wide(grads), state, wide)
        over = guided == "update" and unwatched(updates, wide, scale)
        if guided == "update":
            updates = tree.map(torch.mul, updates, scale)
        if size is not None and (factor := size(step)) != 1.0:
            updates = tree.scale(updates, factor)
        moved = tree.map(partial(_added, over), wide, updates)
        free = {name: leaf.to(free[name].dtype) for name, leaf in moved.items()}
    yield Point(_in_order(params, free, still), None, state)


def _gradient(loss_at: Callable[[Params], Tensor], point: Params, first_order: bool) -> tuple[Params, Tensor]:
    """The gradient of a loss by all weights, and the loss.

    Where it is a constant and nothing else is at work, it is taken by torch's own backward pass, which frees
    what it has used: that of torch.func can be differentiated again, and keeps all of it.
    """
    if not first_order or transforming() or not unwatched(point):
        return grad_and_value(loss_at)(point)
    with torch.enable_grad():
        leaves = tree.map(Tensor.requires_grad_, tree.detach(point))
        loss = loss_at(leaves)
        if not loss.requires_grad:
            return tree.zeros(point), loss
        grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, grads, strict=True)), loss.detach()


def last(points: Iterator[Point]) -> Params:
    """The weights after the last step; no other point is kept."""
    return deque(points, maxlen=1).pop().params


def _wide(params: Params) -> Params:
    """In float32 at least: half precision would round a rule's memory and its steps away."""
    return {name: leaf.to(torch.promote_types(leaf.dtype, torch.float32)) for name, leaf in params.items()}


def _added(over: bool, leaf: Tensor, update: Tensor) -> Tensor:
    """The sum, over the update where that may be written on and is of the same type."""
    return torch.add(leaf, update, out=update if over and update.dtype == leaf.dtype else None)


def _in_order(names: Params, free: Params, still: Params) -> Params:
    return {name: free[name] if name in free else still[name] for name in names}
