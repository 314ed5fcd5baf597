"""Soft nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.solver import (
    ABSENT,
    Solver,
    as_features,
    check_labels,
    check_rows,
    one_hot,
    row_weights,
)
from metatl.types import MetatlError


class Neighbours(NamedTuple):
    """shift [d]: what is taken off every feature; rows [n, d] of length 1; votes [n, outputs] by weight."""

    shift: Tensor
    rows: Tensor
    votes: Tensor


@dataclass(frozen=True)
class SoftNeighbours(Solver):
    """Every support row votes for its class: logits log sum_{i: y_i = c} w_i exp(cos(z, z_i) / temperature).

    z = x - m, m the (weighted) mean of all support features. softmax of the logits is the attention of
    Matching Networks (Vinyals et al. 2016, arXiv 1606.04080) without their embedding of the whole set; the
    lower the temperature, the nearer to one nearest neighbour. A class without a row is never chosen.

    Args:
        temperature: of the cosine similarities.
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a temperature that turns votes round."""
        if not self.temperature > 0:
            raise MetatlError(f"SoftNeighbours: temperature is {self.temperature}; give a number above 0")

    @property
    def rotation_invariant(self) -> bool:
        """Cosines are."""
        return True

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Neighbours:
        """Keep the rows [n, d] and their votes [n, outputs]."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        x, rows = features.double(), row_weights(features, weight)
        shift = rows @ x / rows.sum()
        found = shift, _unit(x - shift), one_hot(y, outputs) * rows.unsqueeze(-1)
        return Neighbours(*(as_features(features, value) for value in found))

    def predict(self, fitted: Neighbours, features: Tensor) -> Tensor:
        """The logarithm of each class's votes, [n, outputs]."""
        z = _unit(features.double() - fitted.shift.double())
        near = z @ fitted.rows.double().T / self.temperature
        top = near.amax(-1, keepdim=True)
        # Of a class whose rows are all far away the sum is 0 in floats: its logit is then a lower bound.
        votes = ((near - top).exp() @ fitted.votes.double()).clamp_min(1e-300).log() + top
        seen = fitted.votes.sum(0) > 0
        return torch.where(seen, as_features(features, votes), ABSENT)


def _unit(z: Tensor) -> Tensor:
    return z / z.norm(dim=-1, keepdim=True).clamp_min(1e-12)
