"""Adversarial domain adaptation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.net import Net
from metatl.objectives.discriminator import drawn, mistaken, reversed_gradient, rising
from metatl.objectives.term import FEATURES, Seen, Term, layer_of, width_of
from metatl.types import Params, Transfer


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
        layer: what it sees: the `features` before the output layer, or what goes into the linear layer
            of this name, as published for digits (what the convolutions give).
    """

    weight: float = 1.0
    hidden: int = 64
    gamma: float = 10.0
    layer: str = FEATURES

    streams = ("source", "target")

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """The discriminator's, uniform in +-1 / sqrt(inputs)."""
        like = net.head_like(transfer.params)
        return drawn(width_of(net, transfer, self.layer), self.hidden, like, key)

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The discriminator's loss, mean over the two domains, 0-d."""
        factor, losses = rising(seen.progress, self.gamma), list[Tensor]()
        for name, domain in zip(self.streams, (0.0, 1.0), strict=True):
            x = reversed_gradient(layer_of(seen.passes[name], self.layer), factor)
            losses.append(mistaken(seen.own, x, domain, seen.batches[name].weight))
        return self.weight * (losses[0] + losses[1]) / 2
