"""Ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metatl import positive
from metatl.adapt.solvers.solver import Linear, Solver, as_features, check_rows, columns, row_weights
from metatl.types import MetatlError


@dataclass(frozen=True)
class RidgeRegression(Solver):
    """Minimum of sum_i w_i |W x_i + b - t_i|^2 + l2 |W|^2, b free; t is one-hot for class labels.

    With rows centred by their weighted means and scaled by sqrt(w): W^T = (X^T X + l2 I)^-1 X^T T (primal,
    d x d), or X^T (X X^T + l2 I)^-1 T (dual, n x n), whichever is smaller; b = mean(t) - W mean(x). In
    float64. A class without a row has W = 0 and b = 0. scikit-learn's `Ridge(alpha=l2)`; the layer of R2-D2
    (Bertinetto et al. 2019, arXiv 1805.08136).

    Args:
        l2: penalty, on the scale of a sum over rows.
    """

    l2: float = 1.0

    real: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a penalty without which the equations may have no single solution."""
        if not self.l2 > 0:
            raise MetatlError(f"RidgeRegression: l2 is {self.l2}; give a number above 0")

    @property
    def rotation_invariant(self) -> bool:
        """All features are penalised alike."""
        return True

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Linear:
        """The solution of the normal equations of features [n, d]."""
        check_rows(features, y, outputs, weight)
        target = columns(y, outputs)
        x, rows = features.double(), row_weights(features, weight)
        x_mean, t_mean = rows @ x / rows.sum(), rows @ target / rows.sum()
        root = rows.sqrt().unsqueeze(-1)
        x, target = (x - x_mean) * root, (target - t_mean) * root
        if x.shape[0] <= x.shape[1]:
            solved = x.T @ positive.solve(x @ x.T + self._penalty(x, x.shape[0]), target)
        else:
            solved = positive.solve(x.T @ x + self._penalty(x, x.shape[1]), x.T @ target)
        bias = t_mean - x_mean @ solved
        return Linear(as_features(features, solved.T), as_features(features, bias))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """W x + b, [n, outputs]."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), *fitted)

    def _penalty(self, x: Tensor, size: int) -> Tensor:
        return self.l2 * torch.eye(size, dtype=x.dtype, device=x.device)
