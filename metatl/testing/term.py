"""What every term of an objective must keep to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from metatl import tree
from metatl.adapt.carried import importance_in
from metatl.net import Net, Pass
from metatl.objectives.term import Anchor, Seen, Term, inputs_asked
from metatl.testing.claims import claim, close, copies, same
from metatl.types import Batch, Params, Transfer

Value = Callable[[Params, Params], Tensor]
"""The net's weights and the term's own -> the term."""


def check_term(
    term: Term,
    net: Net,
    transfer: Transfer,
    batch: Batch,
    streams: Mapping[str, Batch] | None = None,
    reverses: bool = False,
) -> None:
    """The laws of a summand of an objective, at weights a little off the anchor.

    0-d and finite; the same bytes twice; rows in any order give the same value; nothing that it is given is
    written; its gradient is finite, is that of finite differences (1e-3; give a float64 net), and is the same
    under vmap; its own weights are those of their key, and have a gradient by the same laws.

    batch: rows of the stream `source`; streams: of the others that it looks at; labels of one whose y is None
    must not matter. reverses: whether the net's gradient is turned round on purpose, as an adversary's is, so
    that finite differences are taken of the term's own weights alone.
    """
    rows = {"source": batch, **(streams or {})}
    missing = [name for name in term.streams if name not in rows]
    claim(not missing, f"it looks at the streams {', '.join(missing)}; give rows of them")
    own, again = (term.weights(net, transfer, 3) for _ in range(2))
    same(again, own, "weights of its own differ the second time, from the same key")
    params = {name: p.detach() + 0.01 * torch.sin(_steps(p)) for name, p in transfer.params.items()}
    reference = net(transfer.params, transfer.buffers, batch.x).detach()

    def value_on(rows: Mapping[str, Batch], output: Tensor) -> Value:
        def value(weights: Params, mine: Params) -> Tensor:
            passes = {name: _passed(net, weights, transfer, part, term) for name, part in rows.items()}
            carried = importance_in(transfer.memory), transfer.memory
            anchor = Anchor(tree.detach(transfer.params), output, frozenset(), *carried)
            return term.over(weights, Seen(passes, dict(rows), anchor, mine, 0.5))

        return value

    value, before = value_on(rows, reference), copies(transfer)
    found = value(params, own)
    claim(found.dim() == 0 and bool(found.isfinite()), f"the value is {found}, not one finite number")
    claim(torch.equal(found, value(params, own)), "the value differs the second time")
    turned = {name: Batch(*(_turned(part) for part in rows_)) for name, rows_ in rows.items()}
    close(value_on(turned, reference.flip(0))(params, own), found, "rows in another order give another value")
    labelled = {name: _with_labels(part) for name, part in rows.items()}
    claim(
        torch.equal(found, value_on(labelled, reference)(params, own)), "it reads labels that are not there"
    )
    _check_gradient(lambda mine: value(params, mine), own)
    _check_gradient(lambda weights: value(weights, own), params, differences=not reverses)
    same(copies(transfer), before, "the term wrote into what it was given")


def _passed(net: Net, weights: Params, transfer: Transfer, rows: Batch, term: Term) -> Pass:
    if net.head is not None:
        return net.passed(weights, transfer.buffers, rows.x, inputs_asked([term]))
    return Pass(net(weights, transfer.buffers, rows.x), torch.empty(0))


def _turned(part: Any) -> Any:
    return None if part is None else tree.apply(lambda leaf: leaf.flip(0), part)


def _with_labels(rows: Batch) -> Batch:
    """Labels that nobody may read where there are none."""
    return rows._replace(y=torch.full((tree.rows(rows.x),), -(2**31))) if rows.y is None else rows


def _check_gradient(value: Callable[[Params], Tensor], params: Params, differences: bool = True) -> None:
    if not params:
        return
    slope = grad(value)(params)
    bad = [name for name, leaf in slope.items() if not bool(leaf.isfinite().all())]
    claim(not bad, f"the gradient is not finite: {', '.join(bad)}")
    if differences:
        step, size = {name: torch.cos(_steps(p)) for name, p in params.items()}, 1e-5
        ends = [value(tree.add(params, tree.scale(step, sign * size))) for sign in (1.0, -1.0)]
        along = torch.stack([(slope[name] * step[name]).sum() for name in slope]).sum()
        close((ends[0] - ends[1]) / (2 * size), along, "the gradient is not that of finite differences", 1e-3)
    many = vmap(grad(value))({name: torch.stack([p, p]) for name, p in params.items()})
    same({n: g[1] for n, g in many.items()}, slope, "the gradient differs under vmap", 1e-9)


def _steps(like: Tensor) -> Tensor:
    """0, 1, 2, ... in the shape of a tensor: numbers that no draw has to give."""
    return torch.arange(like.numel()).to(like).view_as(like)
