"""What every term of an objective must keep to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vmap

from metatl import tree
from metatl.net import Net
from metatl.objectives.term import Anchor, Term
from metatl.testing.claims import claim, close, copies, same
from metatl.types import Batch, Params, Transfer


def check_term(term: Term, net: Net, transfer: Transfer, batch: Batch) -> None:
    """The laws of a summand of an objective that looks at one stream, at weights a little off the anchor.

    0-d and finite; the same bytes twice; rows in any order give the same value; nothing that it is given is
    written; its gradient is finite, is that of finite differences (1e-3; give a float64 net), and is the same
    under vmap.
    """
    params = {name: p.detach() + 0.01 * torch.sin(_steps(p)) for name, p in transfer.params.items()}
    reference = net(transfer.params, transfer.buffers, batch.x).detach()

    def value(weights: Params, rows: Batch = batch, output: Tensor = reference) -> Tensor:
        anchor = Anchor(tree.detach(transfer.params), output)
        return term(weights, net(weights, transfer.buffers, rows.x), rows, anchor)

    before = copies(transfer)
    found = value(params)
    claim(found.dim() == 0 and bool(found.isfinite()), f"the value is {found}, not one finite number")
    claim(torch.equal(found, value(params)), "the value differs the second time")
    turned = value(params, Batch(batch.x.flip(0), batch.y.flip(0)), reference.flip(0))
    close(turned, found, "rows in another order give another value")
    _check_gradient(value, params)
    same(copies(transfer), before, "the term wrote into what it was given")


def _check_gradient(value: Callable[[Params], Tensor], params: Params) -> None:
    slope = grad(value)(params)
    bad = [name for name, leaf in slope.items() if not bool(leaf.isfinite().all())]
    claim(not bad, f"the gradient is not finite: {', '.join(bad)}")
    step, size = {name: torch.cos(_steps(p)) for name, p in params.items()}, 1e-5
    ends = [value(tree.add(params, tree.scale(step, sign * size))) for sign in (1.0, -1.0)]
    along = torch.stack([(slope[name] * step[name]).sum() for name in slope]).sum()
    close((ends[0] - ends[1]) / (2 * size), along, "the gradient is not that of finite differences", 1e-3)
    many = vmap(grad(value))({name: torch.stack([p, p]) for name, p in params.items()})
    same({n: g[1] for n, g in many.items()}, slope, "the gradient differs under vmap", 1e-9)


def _steps(like: Tensor) -> Tensor:
    """0, 1, 2, ... in the shape of a tensor: numbers that no draw has to give."""
    return torch.arange(like.numel()).to(like).view_as(like)
