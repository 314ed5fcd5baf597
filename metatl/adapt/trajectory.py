"""A guided descent, point by point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from metatl.adapt.anew import averaged
from metatl.adapt.carried import weight_of
from metatl.adapt.descend import Point, descend
from metatl.adapt.inner import Piece, check_whole, pieces_of
from metatl.adapt.rest import rest_under
from metatl.net import Net
from metatl.rules.schedule import size_at
from metatl.types import Batch, Params, Transfer, Unroll

if TYPE_CHECKING:
    from metatl.adapt.descent import Descent


def trajectory_of(
    descent: Descent,
    net: Net,
    transfer: Transfer,
    support: Batch,
    unroll: Unroll,
    moving: frozenset[str] | None,
    once: bool,
    key: int,
) -> Iterator[Point]:
    """The weights before the first step and after every step of a descent (see `Descent.trajectory`)."""
    check_whole(descent)
    inner, fresh = descent.inner(net, transfer, support, key), descent.fresh(net, transfer)
    free, start = None if moving is None else moving | fresh, replace(transfer, params=inner.params)
    rest = rest_under(descent, net, start, free, support.x) if once and free is not None else None

    def objective(weights: Params, step: tuple[Piece, Any]) -> Tensor:
        piece, rows = step
        with descent.support_moments(piece.batch.weight):
            output = rest.call(weights, rows) if rest else net(weights, transfer.buffers, rows)
        return inner.objective(weights, output, piece)

    given = None if rest is None else pieces_of(descent, rest.rows, support, key)
    steps = ((piece, piece.batch.x if given is None else next(given)) for piece in inner.pieces)
    points = descend(
        objective,
        inner.params,
        steps,
        rule=descent.rule,
        guide=inner.guide,
        unroll=unroll,
        moving=free,
        guided=descent.guided,
        memory={key: leaf for key, leaf in transfer.memory.items() if weight_of(key) not in fresh},
        size=lambda step: size_at(descent.schedule, step, descent.steps),
        clip_norm=descent.clip_norm,
        anew=inner.anew,
    )
    return averaged(points, inner.params, descent.average)
