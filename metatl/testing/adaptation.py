"""What every adaptation must keep to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metatl.adapt import Adaptation
from metatl.engines import Batched, Loop
from metatl.engines.engine import Engine, task, tasks_of
from metatl.net import Net
from metatl.testing.claims import claim, close, copies, same
from metatl.types import Batch, Episode, Transfer


def check_adaptation(
    adaptation: Adaptation,
    net: Net,
    transfer: Transfer,
    episodes: Episode,
    tolerance: float | None = None,
) -> None:
    """The laws of a way from a support set to predictions.

    Outputs are [n, outputs] and finite; the same task gives the same bytes; `answer` is `fit` and then
    `predict`; query labels are not read; what is carried stays as it is; query rows in any order, and alone
    where it is not transductive, get the same outputs; so do tasks at once where it is `batched`, and support
    rows in any order where it is `order_free`.

    episodes: a meta-batch of two tasks or more, with three query rows or more each. tolerance: of support
    rows in another order, for a solver that stops near its minimum; None for that of rounding.
    """
    before = copies(transfer)
    for index in range(tasks_of(episodes)):
        one = task(episodes, index)
        output = _answer(adaptation, net, transfer, one)
        expected = (one.query.x.shape[0], net.outputs)
        claim(output.shape == expected, f"outputs are {list(output.shape)}, not {list(expected)}")
        claim(bool(output.isfinite().all()), f"outputs of task {index} are not finite")
        again = _answer(adaptation, net, transfer, one)
        claim(torch.equal(output, again), "the same task gives other outputs the second time")
        apart = _in_two(adaptation, net, transfer, one)
        _check_queries(adaptation, net, transfer, one, output)
        close(apart, output, "answer differs from fit and then predict")
        if adaptation.order_free:
            turned = Batch(one.support.x.flip(0), one.support.y.flip(0))
            other = _answer(adaptation, net, transfer, one._replace(support=turned))
            said = "order_free, but support rows in another order change the outputs"
            close(other, output, said, tolerance)
    if adaptation.batched:
        found = [_mapped(engine, adaptation, net, transfer, episodes) for engine in (Batched(), Loop())]
        close(found[0], found[1], "batched, but tasks at once differ from tasks one by one")
    same(copies(transfer), before, "adapting changed what is carried")


def _check_queries(
    adaptation: Adaptation, net: Net, transfer: Transfer, one: Episode, output: Tensor
) -> None:
    """What the outputs may depend on beside the support rows: their own query row, or all of them."""
    x, y = one.query.x, one.query.y
    nothing = math.nan if y.is_floating_point() else -(2**31)
    poisoned = ~y if y.dtype == torch.bool else torch.full_like(y, nothing)
    blind = _answer(adaptation, net, transfer, one._replace(query=Batch(x, poisoned)))
    claim(torch.equal(blind, output), "the outputs depend on the query labels")
    turned = _answer(adaptation, net, transfer, one._replace(query=Batch(x.flip(0), y.flip(0))))
    close(turned.flip(0), output, "query rows in another order get other outputs")
    if not adaptation.transductive(net):
        alone = _answer(adaptation, net, transfer, one._replace(query=Batch(x[:1], y[:1])))
        close(alone, output[:1], "inductive, but a query row alone gets another output")


def _answer(adaptation: Adaptation, net: Net, transfer: Transfer, one: Episode) -> Tensor:
    with torch.no_grad():
        return adaptation.answer(net, transfer, one)


def _in_two(adaptation: Adaptation, net: Net, transfer: Transfer, one: Episode) -> Tensor:
    with torch.no_grad():
        fitted = adaptation.fit(net, transfer, one.support)
        return adaptation.predict(net, transfer, fitted, one.support, one.query.x)


def _mapped(
    engine: Engine, adaptation: Adaptation, net: Net, transfer: Transfer, episodes: Episode
) -> Tensor:
    fast = engine.ready(net)
    with torch.no_grad():
        return engine.map(lambda one: adaptation.answer(fast, transfer, one), episodes)
