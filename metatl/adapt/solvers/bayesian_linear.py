"""Bayesian linear regression: a posterior over the output layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import best_ridge, widened
from metatl.adapt.solvers.solver import Solver, as_features, check_rows, first_rows, row_weights
from metatl.types import MetatlError, Params

JITTER = 1e-8
"""Share of a precision's mean diagonal that is added to the diagonal, so that it has an inverse."""


class Posterior(NamedTuple):
    """K ~ MN(mean, covariance, diag(noise)): mean [d + 1, outputs], noise [outputs]; float64."""

    mean: Tensor
    covariance: Tensor
    noise: Tensor


@dataclass(frozen=True)
class BayesianLinear(Solver):
    """The matrix-normal posterior of an output layer K, y = K^T p + e, p = (features, 1), e ~ N(0, S).

    K ~ MN(K0, L0^-1, S), L0 = R R^T, gives L = L0 + P^T P, mean L^-1 (P^T Y + L0 K0), and for a new row
    y ~ N(mean^T p, (1 + p^T L^-1 p) S). S is diagonal. Learned over tasks with the features, K0, R (and S,
    where `noise` is None) make ALPaCA (Harrison, Sharma & Pavone 2018, arXiv 1807.08912). Without a learned
    prior K0 is 0, L0 is r I (nothing for the constant at the rows' mean), and r and S (r alone where `noise`
    is given) are those under which the rows at hand are likeliest (`evidence.best_ridge`). No row gives the
    prior's answer.

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
        check_rows(features, y, outputs, weight, none=True)
        _check_real(y)
        x, target = features.double(), y.double().reshape(-1, outputs)
        counts = row_weights(features, weight)
        ridge, noise = best_ridge(x, target, counts, self.noise)
        noise = widened(noise, counts.sum() - 1) if self.noise is None else noise
        flat = ridge.new_full((1,), 1e-6)
        before = torch.diag(torch.cat([ridge.expand(x.shape[1]), flat]))
        # Of rows less their mean, so that the constant is free wherever the features lie.
        centre = counts @ x / counts.sum().clamp_min(1e-300)
        start = x.new_zeros(x.shape[1] + 1, outputs)
        found = self._posterior(start, before, noise, x - centre, y, weight)
        back = torch.eye(len(start), dtype=x.dtype, device=x.device)
        back = torch.cat([back[:-1], torch.cat([-centre, back.new_ones(1)]).unsqueeze(0)])
        return Posterior(back @ found.mean, back @ found.covariance @ back.T, noise)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Posterior:
        """The posterior of features [n, d] under K0, R and S."""
        check_rows(features, y, outputs, weight, none=True)
        _check_real(y)
        mean = prior["mean"].double()
        before = _with_jitter(prior["root"].double())
        return self._posterior(mean, before, self._noise(prior), features, y, weight)

    def predict(self, fitted: Posterior, features: Tensor) -> Tensor:
        """mean^T p, [n, outputs]."""
        return as_features(features, _with_one(features.to(fitted.mean.dtype)) @ fitted.mean)

    def spread(self, fitted: Posterior, features: Tensor) -> Tensor:
        """(1 + p^T L^-1 p) S, [n, outputs]."""
        p = _with_one(features.to(fitted.mean.dtype))
        known = ((p @ fitted.covariance) * p).sum(-1, keepdim=True).clamp_min(0)
        return as_features(features, (1 + known) * fitted.noise)

    def added(self, fitted: Posterior, features: Tensor, y: Tensor) -> Posterior:
        """The posterior after one row more, features [d] and y [outputs], in O(d^2) (Sherman & Morrison)."""
        p, (mean, covariance, noise) = _with_one(features.to(fitted.mean.dtype)), fitted
        along = covariance @ p
        gain = along / (1 + p @ along)
        return Posterior(mean + torch.outer(gain, y - p @ mean), covariance - torch.outer(gain, along), noise)

    def grown(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None, new: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Means and variances [new, outputs] from one Cholesky: its leading blocks are the first rows'."""
        _check_real(y)
        mean, noise = prior["mean"].double(), self._noise(prior)
        before = torch.cholesky_inverse(torch.linalg.cholesky(_with_jitter(prior["root"].double())))
        root = row_weights(features, weight).sqrt().unsqueeze(-1)
        p, q = root * _with_one(features.double()), _with_one(new.double())
        eye = torch.eye(len(p), dtype=p.dtype, device=p.device)
        factor = torch.linalg.cholesky(eye + p @ before @ p.T)
        left = root * y.double().reshape(-1, outputs) - p @ mean
        known = torch.linalg.solve_triangular(factor, torch.cat([left, p @ before @ q.T], 1), upper=False)
        seen = known[:, outputs:].T * first_rows(len(p), len(q), q)  # [new, n]
        variance = 1 + ((q @ before) * q).sum(-1, keepdim=True) - seen.square().sum(-1, keepdim=True)
        found = q @ mean + seen @ known[:, :outputs], variance.clamp_min(1.0) * noise
        return as_features(features, found[0]), as_features(features, found[1])

    def _noise(self, prior: Params) -> Tensor:
        given = torch.full_like(prior["mean"][0], self.noise or 1.0).double()
        return prior["log_noise"].double().exp() if self.noise is None else given

    def _posterior(
        self, mean: Tensor, before: Tensor, noise: Tensor, features: Tensor, y: Tensor, weight: Tensor | None
    ) -> Posterior:
        """By Cholesky, in float64, under L0 = before."""
        p, rows = _with_one(features.double()), row_weights(features, weight).unsqueeze(-1)
        factor = torch.linalg.cholesky(before + p.T @ (rows * p))
        target = p.T @ (rows * y.double().reshape(-1, mean.shape[1])) + before @ mean
        return Posterior(torch.cholesky_solve(target, factor), torch.cholesky_inverse(factor), noise)


def _with_jitter(root: Tensor) -> Tensor:
    """R R^T, which may have no inverse, and a little of its mean diagonal."""
    found = root @ root.T
    return found + JITTER * found.diagonal().mean() * torch.eye(
        len(root), dtype=root.dtype, device=root.device
    )


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[..., :1])], -1)


def _check_real(y: Tensor) -> None:
    if not y.is_floating_point():
        raise MetatlError("BayesianLinear is of real targets; choose GaussianClasses for class labels")
