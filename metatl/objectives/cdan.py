"""Conditional adversarial domain adaptation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.net import Net
from metatl.objectives.discriminator import drawn, mistaken, reversed_gradient, rising
from metatl.objectives.losses import entropy
from metatl.objectives.term import FEATURES, Seen, Term, layer_of, width_of
from metatl.types import Params, Transfer


@dataclass(frozen=True)
class CDAN(Term):
    """weight * a discriminator's cross-entropy on reversed products f (x) p of features and class shares.

    As `DANN`, whose discriminator sees d * classes numbers a row: the features once for each class, times
    the share p = softmax(output) that the net gives it, which is a constant here. certain: rows count
    1 + exp(-H(p)), within each domain, so that those that the net is sure of count more (CDAN+E). Source:
    Long et al. 2018, arXiv 1705.10667.

    Args:
        weight: factor of the term.
        hidden: units of the discriminator.
        gamma: how fast lambda rises.
        certain: whether sure rows count more.
        layer: where the features are, as of `DANN`.
    """

    weight: float = 1.0
    hidden: int = 64
    gamma: float = 10.0
    certain: bool = True
    layer: str = FEATURES

    streams = ("source", "target")

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """The discriminator's, uniform in +-1 / sqrt(inputs)."""
        like = net.head_like(transfer.params)
        width = width_of(net, transfer, self.layer)
        return drawn(width * net.rows(transfer.params), self.hidden, like, key)

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The discriminator's loss, mean over the two domains, 0-d."""
        factor, losses = rising(seen.progress, self.gamma), list[Tensor]()
        for name, domain in zip(self.streams, (0.0, 1.0), strict=True):
            given = seen.passes[name]
            features, logits = layer_of(given, self.layer), given.output.detach()
            products = (logits.softmax(-1)[:, :, None] * features[:, None]).flatten(1)
            weight = seen.batches[name].weight
            if self.certain:
                sure = 1.0 + torch.exp(-entropy(logits))
                weight = sure if weight is None else weight * sure
            losses.append(mistaken(seen.own, reversed_gradient(products, factor), domain, weight))
        return self.weight * (losses[0] + losses[1]) / 2
