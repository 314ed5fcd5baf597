"""What of a pass need not be repeated in every step: whatever comes before the first weight that moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import grad

from metatl import tree
from metatl.adapt.parts import Parts, Rest
from metatl.arithmetic import products_ahead
from metatl.net import Net
from metatl.norm_calls import transformed
from metatl.types import Params, Transfer

if TYPE_CHECKING:
    from metatl.adapt.descent import Descent

MOST_BYTES = 1 << 29
"""Of what is kept of all rows together; where it would be more, nothing is."""
OPERATION = {"cpu": 1 << 25}
"""Multiply-adds that take as long as recording one operation (about a millisecond)."""
_ELSEWHERE = 1 << 31
"""The same where a GPU multiplies."""


def rest_under(descent: Descent, net: Net, transfer: Transfer, moving: frozenset[str], x: Any) -> Rest | None:
    """`rest_of` a descent's passes; None where views, balance or norms look at a step's rows themselves."""
    if descent.views or descent.balance is not None or (descent.moments != "frozen" and net.batch_moments):
        return None
    with descent.support_moments():
        return rest_of(net, transfer, moving, x, descent.batch_size, descent.steps)


def rest_of(
    net: Net, transfer: Transfer, moving: frozenset[str], x: Any, batch_size: int | None, steps: int
) -> Rest | None:
    """The rest of `steps` passes over `batch_size` rows each of x [n, ...]; None for the pass as it is.

    The operations of a pass are recorded; those that depend on no moving weight run once a row. That is done
    only where it saves more than recording costs, counted and not timed, so that a run repeats itself to the
    bit; where torch can follow the pass without its values, which draws nothing at random; where what is kept
    has the rows as its first axis and fits MOST_BYTES; and where output and gradient are those of a pass over
    two of the rows alone, so that no row's output depends on the others.
    """
    leaves, total = list(tree.leaves(x)), tree.rows(x)
    size = min(batch_size or total, total)
    saved = steps * size - total - 2
    if saved <= 0 or transformed(*leaves) or moving.issuperset(transfer.params):
        return None
    price = OPERATION.get(leaves[0].device.type, _ELSEWHERE)
    try:
        ahead, operations = products_ahead(net, transfer, moving, tree.at(x, slice(0, 1)))
        if ahead * saved < operations * price:
            return None
        parts = Parts.of(net, transfer, moving, tree.at(x, slice(0, size)))
        fits = parts.bytes * total <= MOST_BYTES * size
        if not fits or parts.products * saved < operations * price * size:
            return None
        rest = parts.run(transfer, x, size)
        return rest if _agrees(net, transfer, moving, rest, x, size) else None
    except Exception:  # whatever a forward of somebody's own raises where tensors have no values
        return None


def _agrees(net: Net, transfer: Transfer, moving: frozenset[str], rest: Rest, x: Any, size: int) -> bool:
    """Whether output and gradient are those of a pass over the first batch's last and first row alone."""
    few = torch.tensor([size - 1, 0][:size], device=tree.first(x).device)
    # Behind an output layer of zeros every gradient is 0: all weights are moved a little.
    weights = {name: _shifted(transfer.params[name]) for name in transfer.params if name in moving}

    def ours(weights: Params) -> tuple[Tensor, Any]:
        return _told(tree.at(rest.call(weights, tree.at(rest.rows, slice(0, size))), few))

    def theirs(weights: Params) -> tuple[Tensor, Any]:
        return _told(net({**transfer.params, **weights}, transfer.buffers, tree.at(x, few)))

    found, wanted = (grad(one, has_aux=True)(weights) for one in (ours, theirs))
    kind = net.passes or tree.first(weights).dtype
    for one, other in zip(found, wanted, strict=True):
        a, b = (torch.cat([leaf.flatten() for leaf in tree.leaves(part)]) for part in (one, other))
        if a.shape != b.shape or not bool((a - b).norm() <= 4 * torch.finfo(kind).eps ** 0.5 * b.norm()):
            return False
    return True


def _shifted(leaf: Tensor) -> Tensor:
    return leaf.detach() + 0.01 * torch.arange(leaf.numel()).to(leaf).cos().view(leaf.shape)


def _told(output: Any) -> tuple[Tensor, Any]:
    """A number that depends on every output, and the outputs."""
    parts = [
        (leaf * torch.arange(leaf.numel()).to(leaf).cos().view(leaf.shape)).sum()
        for leaf in tree.leaves(output)
    ]
    return torch.stack(parts).sum(), output
