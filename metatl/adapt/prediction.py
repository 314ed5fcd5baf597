"""Outputs for query rows under adapted weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Episode, MetatlError, Moments, Params, Transfer


def predict(net: Net, params: Params, transfer: Transfer, episode: Episode, moments: Moments) -> Any:
    """Outputs for the query rows [n, outputs] under adapted weights; `moments` as in `predict_with`."""
    return predict_with(lambda x: net(params, transfer.buffers, x), net.batch_moments, episode, moments)


def predict_with(call: Callable[[Any], Any], batch_moments: bool, episode: Episode, moments: Moments) -> Any:
    """Outputs for the query rows [n, outputs] of an adapted net x -> output.

    `batch`: batch norm sees all query rows (transductive). `support`: it sees the support rows, which pass
    along in front, so a query's prediction does not depend on the other queries. `frozen`: it uses the
    running moments.
    """
    with moments_from(Rows(frozen=moments == "frozen")):
        if moments != "support" or not batch_moments:
            return call(episode.query.x)
    support, query = episode.support, episode.query
    rows = tree.rows(support.x)
    with moments_from(Rows(first=rows, weight=support.weight)):
        output = call(tree.gather([support.x, query.x], torch.cat))
    return tree.apply(lambda leaf: leaf[rows:], output)


def alike(outputs: Any) -> Tensor:
    """Whether all rows got the same outputs [n, ...], but for rounding; 0-d bool."""
    leaves = tree.leaves(outputs)
    return torch.stack([(x - x[:1]).abs().amax() <= 1e-4 * x.abs().amax() for x in leaves]).all()


def too_large(x: Any) -> Tensor:
    """Whether inputs [tasks, rows, ...] cannot be squared; [tasks] bool.

    A norm's variance is infinite then, and all that it gives is 0: where outputs are also `alike`, it has
    swallowed an overflow of which no NaN is left.
    """
    leaves = [*tree.leaves(x)]
    flat = [leaf.flatten(1) for leaf in leaves if leaf.is_floating_point() and leaf.numel()]
    far = [torch.maximum(x.amax(1), -x.amin(1)) > torch.finfo(x.dtype).max ** 0.5 for x in flat]
    return torch.stack([leaves[0].new_zeros(len(leaves[0]), dtype=torch.bool), *far]).any(0)


def check_outputs(outputs: Any, what: str = "example") -> None:
    """Raise MetatlError naming the first row of outputs [n, ...] that is not finite: it says no class."""
    for leaf in tree.leaves(outputs):
        finite = leaf.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            lost, first = int((~finite).sum()), int(finite.to(torch.uint8).argmin())
            raise MetatlError(
                f"the prediction is not finite for {lost} of {len(finite)} {what}s (first: {what} {first}); "
                "adaptation diverged, or its values are far larger than those learned from"
            )
