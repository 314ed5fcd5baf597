"""Logistic regression on features of length 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.adapt.solvers.logistic import LogisticRegression
from metatl.adapt.solvers.solver import Linear, Solver, as_features, row_weights
from metatl.types import MetatlError


@dataclass(frozen=True)
class UnitLogistic(Solver):
    """Minimum of c sum_i w_i CE(W z_i + b, y_i) + 1/2 |W|^2 with z = x / |x|, b free: the classifier of RFS.

    The penalty is on the scale of a sum over rows, as scikit-learn's `LogisticRegression(C=c)` has it: it
    weighs less the more rows there are. In float64. Only classes with a row are fitted; another one gets a
    logit that is never chosen. Source: Tian et al. 2020, arXiv 2003.11539 (c = 1).

    Args:
        c: weight of the rows against the penalty.
        iterations: at most, see `LogisticRegression`.
    """

    c: float = 1.0
    iterations: int = 1000

    def __post_init__(self) -> None:
        """Refuse a weight that is not above 0."""
        if not self.c > 0 or self.iterations < 1:
            raise MetatlError("UnitLogistic: c must be above 0 and iterations at least 1")

    @property
    def rotation_invariant(self) -> bool:
        """Lengths, and a penalty on all features alike, are."""
        return True

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Linear:
        """The minimum for features [n, d]; constant for derivatives."""
        # With z times r = sqrt(c sum w) and W over r, penalty 1 on the scale of a mean is the problem above.
        root = (self.c * row_weights(features, weight).sum()).sqrt()
        rows = root * _unit(features.double())
        found = LogisticRegression(1.0, False, self.iterations).fit(rows, y, outputs, weight)
        return Linear(as_features(features, root * found.weight), as_features(features, found.bias))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """W z + b, [n, outputs]."""
        z = _unit(features.double()).to(fitted.weight.dtype)
        return torch.nn.functional.linear(z, *fitted)


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
