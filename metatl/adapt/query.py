"""What a task's adapted weights are worth: predictions on its query set, their score, the outer loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.objectives.task_loss import nll
from metatl.types import Episode, Metrics, Moments, Params, Transfer, Unroll


def predict(net: Net, params: Params, transfer: Transfer, episode: Episode, moments: Moments) -> Tensor:
    """Outputs for the query rows [n, outputs] under adapted weights; `moments` as in `predict_with`."""
    return predict_with(lambda x: net(params, transfer.buffers, x), net.batch_moments, episode, moments)


def predict_with(
    call: Callable[[Tensor], Tensor], batch_moments: bool, episode: Episode, moments: Moments
) -> Tensor:
    """Outputs for the query rows [n, outputs] of an adapted net x -> output.

    `batch`: batch norm sees all query rows (transductive). `support`: it sees the support rows, which pass
    along in front, so a query's prediction does not depend on the other queries. `frozen`: it uses the
    running moments.
    """
    with moments_from(Rows(frozen=moments == "frozen")):
        if moments != "support" or not batch_moments:
            return call(episode.query.x)
    rows = episode.support.x.shape[0]
    with moments_from(Rows(first=rows)):
        return call(torch.cat([episode.support.x, episode.query.x]))[rows:]


def score(output: Tensor, y: Tensor) -> Tensor:
    """Accuracy in [0, 1] for class labels, mean squared error for real targets; 0-d."""
    if y.is_floating_point():
        return nll(output, y)
    return (output.argmax(-1) == y).to(output.dtype).mean()


def query_loss(
    net: Net,
    adaptation: Adaptation,
    transfer: Transfer,
    episode: Episode,
    unroll: Unroll,
    moving: frozenset[str] | None = None,
    step_weights: Tensor | None = None,
) -> tuple[Tensor, Metrics]:
    """The outer loss of one task: query loss behind the last step, or a weighted sum over steps (MAML++).

    step_weights: [steps + 1], one weight for every point of the trajectory, the start included.
    """
    points = list(adaptation.trajectory(net, transfer, episode.support, unroll, moving))
    output = predict(net, points[-1].params, transfer, episode, adaptation.moments)
    last = nll(output, episode.query.y)
    loss = last
    if step_weights is not None:
        loss = last * step_weights[-1]
        for weight, point in zip(step_weights[:-1], points[:-1], strict=True):
            early = predict(net, point.params, transfer, episode, adaptation.moments)
            loss = loss + weight * nll(early, episode.query.y)
    metrics = {f"inner_loss/{i}": p.loss.detach() for i, p in enumerate(points) if p.loss is not None}
    metrics["query_loss"] = last.detach()
    metrics["query_score"] = score(output.detach(), episode.query.y)
    return loss, metrics
