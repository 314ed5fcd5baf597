"""Alignment of second moments."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.objectives.term import FEATURES, Seen, Term, layer_of
from metatl.types import Params


@dataclass(frozen=True)
class DeepCORAL(Term):
    """weight * |C_S - C_T|^2 / (4 d^2), C the covariances (n - 1) of source and target rows [n, d].

    Means are not looked at, nor are labels. Published on the outputs; the weight was chosen so that task's
    loss and this one end alike, from .0001 to .8. Source: Sun & Saenko 2016, arXiv 1607.01719.

    Args:
        weight: factor of the term.
        layer: what is aligned: the `features` before the output layer, the `output`, or what goes into
            the linear layer of this name.
    """

    weight: float = 1.0
    layer: str = FEATURES

    streams = ("source", "target")

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The distance of the covariances, 0-d."""
        one, other = (
            covariance(layer_of(seen.passes[name], self.layer), seen.batches[name].weight)
            for name in self.streams
        )
        return self.weight * (one - other).square().sum() / (4 * len(one) ** 2)


def covariance(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Covariance [d, d] of rows x [n, d], over n - 1; a row of weight k is k rows."""
    count = x.new_ones(len(x)) if weight is None else weight
    total = count.sum()
    centred = x - (count @ x) / total
    return (centred * count[:, None]).T @ centred / torch.clamp(total - 1, min=1e-12)
