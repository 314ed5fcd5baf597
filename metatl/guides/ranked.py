"""Tensors compared with one another by a statistic of their gradients on the support set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Outputs, gradients
from metatl.net import Net
from metatl.types import Batch, Params

Ranked = Literal["body", "all"]
"""Whose gradients are compared: those of the body alone, or of the output layer too."""


def is_ranked(net: Net, name: str, leaf: Tensor, ranked: Ranked) -> bool:
    """Whether a tensor is compared with others: one with two axes or more, or of an output layer that is."""
    return ranked == "all" if net.is_head(name) else leaf.dim() > 1


def statistics(
    net: Net,
    params: Params,
    output: Outputs,
    support: Batch,
    batch_size: int | None,
    batches: int,
    ranked: Ranked,
    of: Callable[[str, Tensor], Tensor],
) -> Params:
    """Of every tensor that is compared the statistic `of(name, gradient)`, 0-d, its mean over batches."""
    found = [
        {name: of(name, g) for name, g in grads.items() if is_ranked(net, name, g, ranked)}
        for grads in gradients(params, output, support, batch_size, batches)
    ]
    return tree.mean(tree.gather(found, torch.stack))


def uncompared(net: Net, name: str, one: Tensor) -> Tensor:
    """The guide (0-d) of a tensor that is not compared: 1 for the output layer's, else 0."""
    return one if net.is_head(name) else one * 0.0
