"""Quadratic discriminant analysis."""

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


class Gaussians(NamedTuple):
    """Of a class: mean [outputs, d], root of its inverse covariance [outputs, d, d]; constant [outputs]."""

    mean: Tensor
    root: Tensor
    constant: Tensor


@dataclass(frozen=True)
class QuadraticDiscriminant(Solver):
    """Gaussian classes with a covariance each: log p_c - 1/2 log det S_c - 1/2 (x - m_c)^T S_c^-1 (x - m_c).

    m_c and C_c are the (weighted) mean and covariance of class c, p_c its share of the rows, C the mean of
    the C_c by shares, and (regularised discriminant analysis, Friedman 1989, JASA 84)

        S_c = (1 - shrinkage) R_c + shrinkage tr(R_c) / d I,   R_c = (1 - pooling) C_c + pooling C.

    pooling 1 is LinearDiscriminant with the same shrinkage. Where R_c is 0 S_c is the mean variance of all
    rows times I, and a class without a row has a logit that is never chosen. In float64, d^3 for each class.

    Args:
        shrinkage: above 0, at most 1.
        pooling: 0 to 1; how far a class's covariance is that of all classes.
    """

    shrinkage: float = 0.1
    pooling: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no covariance, or may have no inverse."""
        if not 0 < self.shrinkage <= 1 or not 0 <= self.pooling <= 1:
            raise MetatlError(
                f"QuadraticDiscriminant: shrinkage is {self.shrinkage}, pooling {self.pooling}; give a "
                "shrinkage above 0, at most 1, and a pooling from 0 to 1"
            )

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Gaussians:
        """Means [outputs, d], roots of the inverse covariances, and what does not depend on x."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        x, rows = features.double(), row_weights(features, weight)
        size, share = x.shape[1], one_hot(y, outputs) * (rows / rows.sum()).unsqueeze(-1)
        part = share.sum(0)
        mean = share.T @ x / part.clamp_min(1e-300).unsqueeze(-1)
        from_own = x - one_hot(y, outputs) @ mean
        within = torch.einsum("nc,nd,ne->cde", share, from_own, from_own)
        pooled = within.sum(0)
        around = rows @ (x - rows @ x / rows.sum()).square() / rows.sum()
        own = within / part.clamp_min(1e-300)[:, None, None]
        mixed = (1 - self.pooling) * own + self.pooling * pooled
        eye = torch.eye(size, dtype=x.dtype, device=x.device)
        spread = mixed.diagonal(dim1=-2, dim2=-1).sum(-1) / size
        whole = around.sum().clamp_min(1e-300) / size
        # A class of rows that are all alike, as far as rounding tells, takes the variance of all rows.
        alike = spread <= 1e-20 * whole
        ridge = torch.where(alike, whole, self.shrinkage * spread)
        kept = torch.where(alike, 0.0, 1.0 - self.shrinkage).to(x.dtype)
        lower = torch.linalg.cholesky(kept[:, None, None] * mixed + ridge[:, None, None] * eye)
        root = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
        halves = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = torch.where(part > 0, part.clamp_min(1e-300).log() - halves, ABSENT)
        return Gaussians(*(as_features(features, leaf) for leaf in (mean, root, constant)))

    def predict(self, fitted: Gaussians, features: Tensor) -> Tensor:
        """The logits, [n, outputs]."""
        x = features.to(fitted.mean.dtype)
        apart = torch.einsum("cde,nce->ncd", fitted.root, x.unsqueeze(-2) - fitted.mean)
        return fitted.constant - apart.square().sum(-1) / 2
