"""The cosine classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.cosine_descent import CosineDescent, unit
from metatl.adapt.solvers.solver import (
    ABSENT,
    Solver,
    as_features,
    check_labels,
    check_rows,
    one_hot,
    row_weights,
)
from metatl.types import MetatlError, check_rates


class Cosines(NamedTuple):
    """weight [outputs, d]: scale g v / |v| by class; missing [outputs]: ABSENT, or 0."""

    weight: Tensor
    missing: Tensor


@dataclass(frozen=True)
class CosineClassifier(Solver):
    """Logits scale g_c cos(v_c, x): Baseline++, with its learned length g_c of every class, by descent.

    v starts uniform in +-1 / sqrt(d), g as its length; both descend on the mean cross-entropy of shuffled
    batches: u <- 0.9 u + 0.1 (gradient + decay theta), theta <- theta - lr u, where the first u is the
    gradient. Row weights scale a row's loss, over their mean. A class without a row gets a logit that is
    never chosen. In float64. Source: Chen et al. 2019, arXiv 1904.04232, with the settings of its code.

    Args:
        lr: rate.
        epochs: passes over the rows.
        batch_size: rows of a step.
        decay: weight decay of v and g.
        scale: of the logits; None for 2, and 10 above 200 classes.
        most: steps, of whole epochs but one at least, where `epochs` would be more.
        seed: of the start and the order of rows.
    """

    lr: float = 0.01
    epochs: int = 100
    batch_size: int = 4
    decay: float = 1e-3
    scale: float | None = None
    most: int = 4000
    seed: int = 0

    order_free: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_rates(self, "lr", "decay")
        if min(self.epochs, self.batch_size, self.most) < 1 or (self.scale is not None and self.scale <= 0):
            raise MetatlError(
                "CosineClassifier: epochs, batch_size and most are 1 or more, scale is above 0 (or left out)"
            )

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Cosines:
        """The weights [outputs, d] after the last step; constant for derivatives."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        x, rows = unit(features.detach().double()), row_weights(features, weight)
        target, share = one_hot(y, outputs), rows / rows.mean()
        scale = self.scale or (2.0 if outputs <= 200 else 10.0)
        steps = -(-len(x) // self.batch_size)
        epochs = max(min(self.epochs, self.most // steps), 1)
        descent = CosineDescent(scale, self.lr, self.decay, self.batch_size, epochs, self.seed)
        seen = (target * rows.unsqueeze(-1)).sum(0) > 0
        missing = torch.where(seen, 0.0, ABSENT)
        return Cosines(as_features(features, descent(x, target, share)), as_features(features, missing))

    def predict(self, fitted: Cosines, features: Tensor) -> Tensor:
        """scale g_c cos(v_c, x), [n, outputs]."""
        z = unit(features.double()).to(fitted.weight.dtype)
        return torch.where(fitted.missing == 0, z @ fitted.weight.T, fitted.missing)
