"""Bayesian linear regression: a posterior over the output layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metatl.adapt.solvers import matrix_normal as normal
from metatl.adapt.solvers.matrix_normal import LayerPrior, Posterior
from metatl.adapt.solvers.solver import Solver, as_features, check_rows
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class BayesianLinear(Solver):
    """The matrix-normal posterior of an output layer K, y = K^T p + e, p = (features, 1), e ~ N(0, S).

    K ~ MN(K0, L0^-1, S), L0 = R R^T, gives L = L0 + P^T P, mean L^-1 (P^T Y + L0 K0), and for a new row
    y ~ N(mean^T p, (1 + p^T L^-1 p) S). S is diagonal. Learned over tasks with the features, K0, R (and S,
    where `noise` is None) make ALPaCA (Harrison, Sharma & Pavone 2018, arXiv 1807.08912). Else K0 is 0, L0 is
    r I (nothing for the constant at the rows' mean), r and S (r alone where `noise` is given) those under
    which the rows at hand are likeliest (`evidence.best_ridge`). No row gives the prior's answer.

    Args:
        noise: variance of e, in the targets' unit squared; None to learn it, or to choose it by evidence.
    """

    noise: float | None = None

    real: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a variance that is none."""
        if self.noise is not None and not self.noise > 0:
            raise MetatlError(f"BayesianLinear: noise is {self.noise}; give a variance above 0")

    def prior(self, size: int, outputs: int) -> Params:
        """K0 = 0, R = I, and log S = 0 where it is learned."""
        start = {"mean": torch.zeros(size + 1, outputs), "root": torch.eye(size + 1)}
        return start if self.noise is not None else {**start, "log_noise": torch.zeros(outputs)}

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Posterior:
        """The posterior of features [n, d] under the prior that evidence chooses."""
        _check(features, y, outputs, weight)
        return normal.likeliest(features, y.reshape(-1, outputs), weight, self.noise)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Posterior:
        """The posterior of features [n, d] under K0, R and S."""
        _check(features, y, outputs, weight)
        return normal.after(self._before(prior), features, y, weight)

    def predict(self, fitted: Posterior, features: Tensor) -> Tensor:
        """mean^T p, [n, outputs]."""
        return as_features(features, normal.with_one(features.to(fitted.mean.dtype)) @ fitted.mean)

    def spread(self, fitted: Posterior, features: Tensor) -> Tensor:
        """(1 + p^T L^-1 p) S, [n, outputs]."""
        p = normal.with_one(features.to(fitted.mean.dtype))
        known = ((p @ fitted.covariance) * p).sum(-1, keepdim=True).clamp_min(0)
        return as_features(features, (1 + known) * fitted.noise)

    def added(self, fitted: Posterior, features: Tensor, y: Tensor) -> Posterior:
        """The posterior after one row more, features [d] and y [outputs], in O(d^2)."""
        return normal.after_one(fitted, features, y)

    def grown(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None, new: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Means and variances [new, outputs], row i after the first i mod (n + 1) rows."""
        _check(features, y, outputs, weight)
        return normal.after_each(self._before(prior), features, y, weight, new)

    def _before(self, prior: Params) -> LayerPrior:
        mean, precision = prior["mean"].double(), normal.with_jitter(prior["root"].double())
        given = torch.full_like(prior["mean"][0], self.noise or 1.0).double()
        return LayerPrior(mean, precision, prior["log_noise"].double().exp() if self.noise is None else given)


def _check(features: Tensor, y: Tensor, outputs: int, weight: Tensor | None) -> None:
    check_rows(features, y, outputs, weight, none=True)
    if not y.is_floating_point():
        raise MetatlError("BayesianLinear is of real targets; choose GaussianClasses for class labels")
