"""Multinomial logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.adapt.solvers.likeliest import Penalised, likeliest
from metatl.adapt.solvers.solver import (
    Linear,
    Solver,
    as_features,
    check_labels,
    check_rows,
    one_hot,
    row_weights,
)
from metatl.types import MetatlError


@dataclass(frozen=True)
class LogisticRegression(Solver):
    """Minimum of sum_i w_i CE(W x_i + b, y_i) / sum_i w_i + l2/2 |W|^2, b free, in float64.

    By Newton's method where its equations are small, for many problems at once; else by L-BFGS. It is
    scikit-learn's `LogisticRegression(C=1 / (l2 sum w))`. Only classes with a row are fitted; another one
    gets a logit that is never chosen. Raises MetatlError where features are not finite.

    Args:
        l2: penalty, on the scale of a mean over rows.
        scaled: every feature is brought to standard deviation 1 over the support rows first (one that does
            not vary stays as it is), so that the penalty weighs all alike; W and b are for the features as
            given.
        iterations: at most; L-BFGS stops where no entry of the gradient is above 1e-9.
    """

    l2: float = 1e-2
    scaled: bool = False
    iterations: int = 1000

    def __post_init__(self) -> None:
        """Refuse a penalty without which separable classes have no solution."""
        if not self.l2 > 0 or self.iterations < 1:
            raise MetatlError("LogisticRegression: l2 must be above 0 and iterations at least 1")

    @property
    def rotation_invariant(self) -> bool:
        """All features are penalised alike, but where they are scaled one by one."""
        return not self.scaled

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Linear:
        """The minimum for features [n, d], from W = 0; constant for derivatives."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        rows = row_weights(features, weight)
        how = Penalised(self.l2, self.scaled, self.iterations)
        found = likeliest(features.detach(), one_hot(y, outputs), rows, how)
        return Linear(*(as_features(features, part) for part in (found[..., :-1], found[..., -1])))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """W x + b, [n, outputs]."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), *fitted)
