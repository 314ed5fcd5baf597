"""Adversarial domain adaptation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.net import Net
from metatl.objectives.term import Seen, Term, mean_over_rows
from metatl.types import Params, Transfer


def reversed_gradient(x: Tensor, factor: float | Tensor) -> Tensor:
    """x itself, whose gradient comes back times -factor."""
    return (x * (1.0 + factor)).detach() - x * factor


@dataclass(frozen=True)
class DANN(Term):
    """weight * binary cross-entropy of a discriminator of domains on reversed features.

    The discriminator (d -> hidden -> 1, ReLU) learns to tell source from target features; through the
    reversal the features learn that it cannot. The reversal's factor rises over the learning,
    lambda = 2 / (1 + exp(-gamma progress)) - 1. Rows of both domains count alike; labels of the target are
    not looked at. Source: Ganin et al. 2016, arXiv 1505.07818.

    Args:
        weight: factor of the term.
        hidden: units of the discriminator.
        gamma: how fast lambda rises.
    """

    weight: float = 1.0
    hidden: int = 64
    gamma: float = 10.0

    streams = ("source", "target")

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """The discriminator's, uniform in +-1 / sqrt(inputs)."""
        like = transfer.params[net.head_weight]
        generator = torch.Generator().manual_seed(key)

        def layer(rows: int, inputs: int) -> Tensor:
            drawn = torch.rand(rows, inputs, generator=generator) * 2 - 1
            return (drawn / math.sqrt(inputs)).to(like)

        first, second = layer(self.hidden, like.shape[-1]), layer(1, self.hidden)
        return {
            "0.weight": first,
            "0.bias": first.new_zeros(self.hidden),
            "1.weight": second,
            "1.bias": second.new_zeros(1),
        }

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The discriminator's loss, mean over the two domains."""
        factor = 2.0 / (1.0 + math.exp(-self.gamma * float(seen.progress))) - 1.0
        losses: list[Tensor] = []
        for name, domain in zip(self.streams, (0.0, 1.0), strict=True):
            x = reversed_gradient(seen.passes[name].features, factor)
            hidden = F.linear(x, seen.own["0.weight"], seen.own["0.bias"]).relu()
            logit = F.linear(hidden, seen.own["1.weight"], seen.own["1.bias"])
            loss = F.binary_cross_entropy_with_logits(logit, torch.full_like(logit, domain), reduction="none")
            losses.append(mean_over_rows(loss, seen.batches[name].weight))
        return self.weight * (losses[0] + losses[1]) / 2
