"""What a task's adapted weights are worth: predictions on its query set, their score, the outer loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.descent import Descent
from metatl.adapt.prediction import predict
from metatl.net import Net
from metatl.objectives.task_loss import head, nll
from metatl.types import Episode, Metrics, Transfer, Unroll


def score(output: Any, y: Any) -> Tensor:
    """Accuracy in [0, 1] for class labels, mean squared error for real targets; 0-d.

    Of several targets of one kind, the mean over them.
    """
    if isinstance(y, Mapping):
        return torch.stack([score(head(output, name), part) for name, part in y.items()]).mean()
    if y.is_floating_point():
        return nll(output, y)
    return (output.argmax(-1) == y).to(output.dtype).mean()


def query_loss(
    net: Net,
    adaptation: Descent,
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
    last = nll(output, episode.query.y, episode.query.weight)
    loss = last
    if step_weights is not None:
        loss = last * step_weights[-1]
        for weight, point in zip(step_weights[:-1], points[:-1], strict=True):
            early = predict(net, point.params, transfer, episode, adaptation.moments)
            loss = loss + weight * nll(early, episode.query.y, episode.query.weight)
    metrics = {f"inner_loss/{i}": p.loss.detach() for i, p in enumerate(points) if p.loss is not None}
    metrics["query_loss"] = last.detach()
    metrics["query_score"] = score(tree.apply(Tensor.detach, output), episode.query.y)
    return loss, metrics
