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


def swallowed(outputs: Any, *inputs: Any) -> Tensor:
    """Whether rows of inputs too large to be squared all got the same outputs [n, ...]; 0-d bool.

    A norm's variance is infinite then and all that it gives is 0: an overflow of which no NaN is left.
    """
    said = [*tree.leaves(outputs)]
    alike = [(leaf - leaf[:1]).abs().amax() <= 1e-4 * leaf.abs().amax() for leaf in said]
    large = [~x.square().isfinite().all() for x in tree.leaves(inputs) if x.is_floating_point()]
    return torch.stack(alike).all() & torch.stack(large or [alike[0].new_zeros(())]).any()


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
