"""Linear discriminant analysis."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import positive
from metatl.adapt.solvers.solver import (
    ABSENT,
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
class LinearDiscriminant(Solver):
    """Gaussian classes with one covariance: logits log p_c + x^T S^-1 m_c - 1/2 m_c^T S^-1 m_c.

    (x and m_c less the mean of all rows, which changes all logits alike.) m_c is the (weighted) mean of class
    c, p_c its share of the rows, and

        S = (1 - shrinkage) C + shrinkage tr(C) / d I,   C = 1/n sum_i (x_i - m_{y_i})(x_i - m_{y_i})^T.

    Where no class has two different rows C is 0, and S the mean variance of all rows times I. With fewer rows
    than features S^-1 comes from an n x n system (Woodbury). In float64. A class without a row has a logit
    that is never chosen. scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=...)`; the
    shrinkage is that of Ledoit & Wolf 2004 with a free factor.

    Args:
        shrinkage: above 0, at most 1; 1 is the nearest mean, but for p_c.
    """

    shrinkage: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a shrinkage for which S may have no inverse, or is no covariance."""
        if not 0 < self.shrinkage <= 1:
            raise MetatlError(
                f"LinearDiscriminant: shrinkage is {self.shrinkage}; give a number above 0, at most 1"
            )

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Linear:
        """Means [outputs, d] and shares of the classes, and the inverse covariance times the means."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        x, rows = features.double(), row_weights(features, weight)
        x_mean, total = rows @ x / rows.sum(), rows.sum()
        x = x - x_mean  # the means of classes far from 0 keep their digits
        member = one_hot(y, outputs) * rows.unsqueeze(-1)
        count = member.sum(0)
        means = member.T @ x / count.clamp_min(1e-300).unsqueeze(-1)
        root = (rows / total).sqrt().unsqueeze(-1)
        solved = self._solved(root * (x - one_hot(y, outputs) @ means), root * x, means)
        bias = (count / total).clamp_min(1e-300).log() - (solved * means).sum(-1) / 2 - solved @ x_mean
        bias = torch.where(count > 0, bias, ABSENT)
        return Linear(as_features(features, solved), as_features(features, bias))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """The logits, [n, outputs]."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), *fitted)

    def _solved(self, within: Tensor, around: Tensor, means: Tensor) -> Tensor:
        """S^-1 m_c by class, [outputs, d]; within, around: [n, d] with C = within^T within."""
        n, d = within.shape
        spread = within.square().sum()
        # What rounding leaves of rows that are all alike within their classes counts as nothing.
        alike = spread <= 1e-20 * around.square().sum()
        ridge = torch.where(alike, around.square().sum().clamp_min(1e-300), self.shrinkage * spread) / d
        scale = torch.where(alike, 0.0, 1.0 - self.shrinkage).to(within.dtype)
        if n >= d:
            eye = torch.eye(d, dtype=within.dtype, device=within.device)
            return positive.solve(scale * within.T @ within + ridge * eye, means.T).T
        eye = torch.eye(n, dtype=within.dtype, device=within.device)
        inner = positive.solve(ridge * eye + scale * within @ within.T, within @ means.T)
        return (means - scale * (within.T @ inner).T) / ridge
