"""What a descent asks of what is carried, and how much of it may move."""

from __future__ import annotations

from metatl.data.shapes import Tasks
from metatl.heads import Head
from metatl.net import Net
from metatl.types import Guide, MetatlError, Params, Transfer


def check_output_layer(net: Net, transfer: Transfer, head: Head) -> None:
    """Raise MetatlError when a carried output layer has another number of rows than the tasks need.

    And where a fresh one cannot take its place.
    """
    if head.fresh:
        net.check_anew(transfer.params)
    rows = net.rows(transfer.params)
    if not head.fresh and rows != net.outputs:
        raise MetatlError(
            f"head Learned carries {rows} outputs but the episodes need {net.outputs}; choose "
            "adaptation.head Zeros, Prototypes or Ridge, or a start that was trained on such episodes"
        )


def check_ways(carries: bool, tasks: Tasks) -> None:
    """Raise MetatlError where tasks differ in their classes and share a carried output layer."""
    if carries and isinstance(tasks.way, tuple):
        raise MetatlError(
            f"way is {list(tasks.way)} and head Learned carries one output layer for all tasks; choose "
            "adaptation.head Zeros, Prototypes or Ridge, or give way as a number"
        )


def movable(params: Params, guide: Guide, steps: int) -> int:
    """Number of weights that may move: entries whose guide is not 0 at some of the inner steps."""
    total = 0
    for name, leaf in params.items():
        moves = guide[name] != 0
        moves = moves[:steps].any(0) if moves.dim() > leaf.dim() else moves
        total += int(moves.expand_as(leaf).sum())
    return total


def weight_of(key: str) -> str:
    """The weight of which a `<role>.<weight>` tells."""
    return key.partition(".")[2]


def importance_in(memory: Params) -> Params:
    """By weight, what is carried as `importance.<weight>`."""
    return {weight_of(key): leaf for key, leaf in memory.items() if key.startswith("importance.")}


def prior_in(memory_of: Transfer) -> Params:
    """By name, what is carried as `prior.<name>`: learned over tasks beside the weights."""
    return {weight_of(key): leaf for key, leaf in memory_of.memory.items() if key.startswith("prior.")}
