"""Diagonal Fisher information, and the guides made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import vjp, vmap

from metatl import tree
from metatl.adapt import Outputs, SupportGuide
from metatl.guides.shape import Shape, TopK
from metatl.heads import Head, Ridge
from metatl.net import Net
from metatl.types import Batch, Guide, MetatlError, Params

FisherKind = Literal["empirical", "true", "absolute"]


def fisher(
    output: Callable[[Params], Tensor],
    params: Params,
    y: Tensor,
    kind: FisherKind = "empirical",
    row_weight: Tensor | None = None,
) -> Params:
    """Diagonal Fisher information of every weight, mean over the rows of `output(params)` [n, classes].

    empirical: mean_n (d log p(y_n | x_n) / d theta)^2 with the true labels; true: mean_n sum_c p(c | x_n)
    (d log p(c | x_n) / d theta)^2; absolute: mean_n |d log p(y_n | x_n) / d theta|. Rows share the pass, so
    batch norm keeps the moments of all rows while each row's gradient is taken alone. Source: Sung, Nair &
    Raffel 2021, arXiv 2111.09839. row_weight [n]: how often each row counts.
    """
    if y.is_floating_point() or y.dim() != 1:
        raise MetatlError(
            "the Fisher information of class labels needs one integer label a row; this task has real "
            "targets, or several labels a row"
        )

    def log_p(weights: Params) -> Tensor:
        return output(weights).log_softmax(-1)

    passed = vjp(log_p, params)
    logs, back = passed[0], passed[1]
    rows, classes = logs.shape
    if kind == "true":
        pick = torch.eye(rows * classes, dtype=logs.dtype, device=logs.device).view(-1, rows, classes)
        weight = logs.detach().exp().reshape(-1)
    else:
        hot = torch.nn.functional.one_hot(y, classes).to(logs.dtype)
        pick = torch.eye(rows, dtype=logs.dtype, device=logs.device).unsqueeze(-1) * hot
        weight = logs.new_ones(rows)
    if row_weight is not None:
        share = row_weight.to(logs.dtype) * rows / row_weight.sum()
        weight = weight * (share.repeat_interleave(classes) if kind == "true" else share)
    (grads,) = vmap(back)(pick)
    size = torch.abs if kind == "absolute" else torch.square
    return {name: torch.tensordot(weight, size(g), 1) / rows for name, g in grads.items()}


@dataclass(frozen=True)
class SupportFisher(SupportGuide):
    """A guide from the Fisher information of the task's own support set, at the weights before any step.

    The output layer is always trainable and not ranked.

    Args:
        shape: from information to guide; TopK gives FISH's mask.
        kind: of Fisher information.
        head: output layer that it is taken with where the adaptation's own starts at zero, behind which every
            gradient of the body is 0.
    """

    shape: Shape = TopK()
    kind: FisherKind = "empirical"
    head: Head = Ridge()

    def __call__(self, net: Net, params: Params, output: Outputs, support: Batch) -> Guide:
        """The guide of one task."""
        raw = fisher(output, params, support.y, self.kind, support.weight)
        head, body = tree.split(raw, net.is_head)
        return {**self.shape(body, tree.count(head)), **tree.ones(head)}
