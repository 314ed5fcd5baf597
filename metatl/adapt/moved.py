"""How far a task moves the carried weights."""

from __future__ import annotations

from metatl.adapt.carried import weight_of
from metatl.adapt.descent import Descent
from metatl.net import Net
from metatl.rules import RuleState
from metatl.types import Batch, Params, Transfer


def displacement(
    net: Net,
    adaptation: Descent,
    transfer: Transfer,
    support: Batch,
    moving: frozenset[str] | None = None,
) -> Params:
    """How far one task's adaptation moves every carried weight: adapt(theta, task) - theta.

    Reptile moves the initialisation by its mean over tasks, GTL's raw guide is its second moment, and the
    second moment of one SGD step of rate 1 on single examples is the diagonal empirical Fisher information. A
    fresh output layer is not carried and has no displacement. moving: names of weights that may move, where
    others (whose guide is 0) are to cost nothing.
    """
    return displacement_and_memory(net, adaptation, transfer, support, moving)[0]


def displacement_and_memory(
    net: Net,
    adaptation: Descent,
    transfer: Transfer,
    support: Batch,
    moving: frozenset[str] | None = None,
) -> tuple[Params, Params]:
    """`displacement`, and what the rule leaves to other tasks (see `Rule.carried`), of the same weights."""
    params, state = transfer.params, RuleState()
    for point in adaptation.trajectory(net, transfer, support, "first_order", moving):
        params, state = point.params, point.rule_state  # and no list: a point holds all weights
    fresh = adaptation.fresh(net, transfer)
    moves = {name: params[name].detach() - p for name, p in transfer.params.items() if name not in fresh}
    left = adaptation.rule.carried(state)
    return moves, {key: leaf for key, leaf in left.items() if weight_of(key) not in fresh}
