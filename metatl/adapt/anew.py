"""Where a descent starts, where it starts anew, and where between start and end it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.descend import Point
from metatl.net import Net
from metatl.types import Batch, Guide, Params, Transfer

if TYPE_CHECKING:
    from metatl.adapt.descent import Descent

Anew = Literal["never", "epoch"]
"""When the rule starts anew, with the guide of the support set at the weights of then."""


def started(descent: Descent, net: Net, transfer: Transfer, support: Batch) -> tuple[Params, Guide]:
    """The weights that a task starts from, output layer included, and the scales of their updates."""
    params, guide = descent.head.init(net, transfer, support)
    made = descent.guide_from_support
    at = (
        made.head.init(net, transfer, support)[0] if made and descent.steps and descent.head.blind else params
    )
    return params, _guide(descent, net, transfer, support, at, guide)


def renewal(
    descent: Descent, net: Net, transfer: Transfer, support: Batch
) -> Callable[[int, Params], Guide | None]:
    """(step, weights) -> the guide of the support set at these weights where an epoch begins, else None."""
    held = tree.rows(support.x)
    epoch = -(-held // min(descent.batch_size or held, held))
    with descent.support_moments(support.weight):
        guide = descent.head.init(net, transfer, support)[1]

    def anew(step: int, weights: Params) -> Guide | None:
        if step % epoch:
            return None
        with descent.support_moments(support.weight):
            return _guide(descent, net, transfer, support, weights, guide)

    return anew


def averaged(points: Iterator[Point], start: Params, share: float) -> Iterator[Point]:
    """The points, the last one at start + share * (end - start)."""
    for point in points:
        if point.loss is not None or share == 1.0:
            yield point
            continue
        ends = {name: torch.lerp(leaf, point.params[name], share) for name, leaf in start.items()}
        yield point._replace(params=ends)


def _guide(descent: Descent, net: Net, transfer: Transfer, support: Batch, at: Params, guide: Guide) -> Guide:
    """The guide times that of the support set, where there is one, at these weights."""
    if descent.guide_from_support is None or not descent.steps:
        return guide

    def output(params: Params, rows: Batch | None = None) -> Tensor:
        rows = support if rows is None else rows
        with descent.support_moments(rows.weight):
            return net(params, transfer.buffers, rows.x)

    extra = descent.guide_from_support(net, tree.detach(at), output, support)
    return {name: guide[name] * extra[name] for name in at}
