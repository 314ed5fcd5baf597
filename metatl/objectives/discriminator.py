"""A discriminator of domains, and the reversal through which features learn to deceive it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.objectives.term import mean_over_rows
from metatl.types import Params


def reversed_gradient(x: Tensor, factor: float | Tensor) -> Tensor:
    """x [n, d] itself, whose gradient comes back times -factor."""
    return (x * (1.0 + factor)).detach() - x * factor


def rising(progress: float | Tensor, gamma: float) -> float:
    """The reversal's factor, lambda = 2 / (1 + exp(-gamma progress)) - 1; progress 0-d."""
    return 2.0 / (1.0 + math.exp(-gamma * float(progress))) - 1.0


def drawn(inputs: int, hidden: int, like: Tensor, key: int) -> Params:
    """A discriminator's weights [hidden, inputs], [1, hidden] (ReLU), uniform in +-1 / sqrt(inputs)."""
    generator = torch.Generator().manual_seed(key)

    def layer(rows: int, inputs: int) -> Tensor:
        drawn = torch.rand(rows, inputs, generator=generator) * 2 - 1
        return (drawn / math.sqrt(inputs)).to(like)

    first, second = layer(hidden, inputs), layer(1, hidden)
    return {
        "0.weight": first,
        "0.bias": first.new_zeros(hidden),
        "1.weight": second,
        "1.bias": second.new_zeros(1),
    }


def mistaken(own: Params, x: Tensor, domain: float, weight: Tensor | None) -> Tensor:
    """Binary cross-entropy of the discriminator on rows x [n, d] of domain 0 or 1, mean over rows."""
    hidden = F.linear(x, own["0.weight"], own["0.bias"]).relu()
    logit = F.linear(hidden, own["1.weight"], own["1.bias"])
    loss = F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, domain), reduction="none")
    return mean_over_rows(loss, weight)
