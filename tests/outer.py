"""The meta-gradient of a query loss, by engine and by weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from metatl.adapt import Descent, QueryLoss
from metatl.engines import Engine
from metatl.net import Net
from metatl.types import Episode, Guide, Metrics, Params, Transfer, Unroll


@dataclass(frozen=True)
class Outer:
    """How a query loss is differentiated (see `QueryLoss`); calls: as in `Engine.grad`."""

    unroll: Unroll = "full"
    learn_guide: bool = False
    step_weights: Tensor | None = None
    calls: int = 1


class OuterGradient(NamedTuple):
    """The meta-gradient by weight: of the weights, and of the guide where it is learned."""

    params: Params
    guide: Guide


def outer_gradient(
    engine: Engine, net: Net, transfer: Transfer, adaptation: Descent, episodes: Episode, outer: Outer
) -> tuple[OuterGradient, Metrics]:
    """What the engine gives for the mean query loss after adaptation."""
    loss = QueryLoss(net, adaptation, transfer, outer.unroll, outer.learn_guide, outer.step_weights)
    found, metrics = engine.grad(loss, loss.variables, episodes, outer.calls)
    return by_weight(found), metrics


def by_weight(found: Params) -> OuterGradient:
    """A gradient by variable, as one by weight."""
    kinds = (
        {n.partition(".")[2]: g for n, g in found.items() if n.startswith(k)} for k in ("params", "guide")
    )
    return OuterGradient(*kinds)
