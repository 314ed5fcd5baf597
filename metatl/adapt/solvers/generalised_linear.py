"""The penalised linear layer that targets ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metatl.adapt.solvers.logistic import LogisticRegression
from metatl.adapt.solvers.ridge import RidgeRegression
from metatl.adapt.solvers.ridge_posterior import RidgePosterior, around, variance
from metatl.adapt.solvers.solver import Linear, Solver, row_weights
from metatl.types import MetatlError


@dataclass(frozen=True)
class GeneralisedLinear(Solver):
    """Minimum of -sum_i w_i log p(y_i | W x_i + b) / sum_i w_i + l2/2 |W|^2, b free, in float64.

    Classes: p is the softmax, and it is `LogisticRegression` of this l2; real targets: p = N(y; W x + b, 1),
    and it is `RidgeRegression` of l2 sum w. Its posterior under
    the prior of which this is the mean says how far real values may lie from it (`ridge_posterior`). Source:
    Nelder & Wedderburn 1972, JRSS A 135.

    Args:
        l2: penalty, on the scale of a mean over rows.
    """

    l2: float = 1e-2

    real: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a penalty without which there may be no single solution."""
        if not self.l2 > 0:
            raise MetatlError(f"GeneralisedLinear: l2 is {self.l2}; give a number above 0")

    @property
    def rotation_invariant(self) -> bool:
        """All features are penalised alike."""
        return True

    def fit(
        self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Linear | RidgePosterior:
        """The minimum for features [n, d]; of real targets with what is unknown of it."""
        if not y.is_floating_point():
            return LogisticRegression(self.l2).fit(features, y, outputs, weight)
        rows = row_weights(features, weight)
        line = RidgeRegression(self.l2).fit(features, y, outputs, rows / rows.sum())
        return around(line, features, y.reshape(-1, outputs), rows, self.l2 * rows.sum())

    def predict(self, fitted: Linear | RidgePosterior, features: Tensor) -> Tensor:
        """W x + b, [n, outputs]: logits, or real values."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), fitted.weight, fitted.bias)

    def spread(self, fitted: Linear | RidgePosterior, features: Tensor) -> Tensor:
        """Variance [n, outputs] of real values, noise included; MetatlError for classes."""
        if not isinstance(fitted, RidgePosterior):
            raise MetatlError("GeneralisedLinear: classes have probabilities, and no spread")
        return variance(fitted, features)
