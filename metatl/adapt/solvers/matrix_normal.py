"""Matrix-normal posteriors of an output layer: in one go, by one row more, and after every row."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import best_ridge, widened
from metatl.adapt.solvers.solver import as_features, first_rows, row_weights

JITTER = 1e-8
"""Share of a precision's mean diagonal that is added to the diagonal, so that it has an inverse."""


class Posterior(NamedTuple):
    """K ~ MN(mean, covariance, diag(noise)): mean [d + 1, outputs], noise [outputs]; float64."""

    mean: Tensor
    covariance: Tensor
    noise: Tensor


class LayerPrior(NamedTuple):
    """K ~ MN(mean, precision^-1, diag(noise)): mean [d + 1, outputs], precision [d + 1, d + 1]; float64."""

    mean: Tensor
    precision: Tensor
    noise: Tensor


def after(before: LayerPrior, features: Tensor, y: Tensor, weight: Tensor | None) -> Posterior:
    """The posterior of rows [n, d], y [n, outputs]: by Cholesky, in float64."""
    mean, precision, noise = before
    p, rows = with_one(features.double()), row_weights(features, weight).unsqueeze(-1)
    factor = torch.linalg.cholesky(precision + p.T @ (rows * p))
    target = p.T @ (rows * y.double().reshape(-1, mean.shape[1])) + precision @ mean
    return Posterior(torch.cholesky_solve(target, factor), torch.cholesky_inverse(factor), noise)


def likeliest(features: Tensor, y: Tensor, weight: Tensor | None, noise: float | None) -> Posterior:
    """Under mean 0 and the ridge (and the noise, for None) of rows [n, d], y [n, outputs], by their evidence.

    Fitted to the rows less their mean, so that the constant is free wherever the features lie.
    """
    x, counts = features.double(), row_weights(features, weight)
    ridge, found = best_ridge(x, y.double(), counts, noise)
    found = widened(found, counts.sum() - 1) if noise is None else found
    precision = torch.diag(torch.cat([ridge.expand(x.shape[1]), ridge.new_full((1,), 1e-6)]))
    centre = counts @ x / counts.sum().clamp_min(1e-300)
    before = LayerPrior(x.new_zeros(len(precision), y.shape[1]), precision, found)
    inner = after(before, x - centre, y, weight)
    eye = torch.eye(len(precision), dtype=x.dtype, device=x.device)
    back = torch.cat([eye[:-1], torch.cat([-centre, eye.new_ones(1)]).unsqueeze(0)])
    return Posterior(back @ inner.mean, back @ inner.covariance @ back.T, found)


def after_one(fitted: Posterior, features: Tensor, y: Tensor) -> Posterior:
    """The posterior after one row more, features [d] and y [outputs], in O(d^2) (Sherman & Morrison)."""
    p, (mean, covariance, noise) = with_one(features.to(fitted.mean.dtype)), fitted
    along = covariance @ p
    gain = along / (1 + p @ along)
    return Posterior(mean + torch.outer(gain, y - p @ mean), covariance - torch.outer(gain, along), noise)


def after_each(
    before: LayerPrior, features: Tensor, y: Tensor, weight: Tensor | None, new: Tensor
) -> tuple[Tensor, Tensor]:
    """Means and variances [new, outputs]: new row i after the first i mod (n + 1) of rows [n, d].

    From one Cholesky factor: its leading blocks are those of the first rows.
    """
    mean, noise = before.mean, before.noise
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(before.precision))
    root = row_weights(features, weight).sqrt().unsqueeze(-1)
    p, q = root * with_one(features.double()), with_one(new.double())
    eye = torch.eye(len(p), dtype=p.dtype, device=p.device)
    factor = torch.linalg.cholesky(eye + p @ covariance @ p.T)
    outputs = mean.shape[1]
    left = root * y.double().reshape(-1, outputs) - p @ mean
    known = torch.linalg.solve_triangular(factor, torch.cat([left, p @ covariance @ q.T], 1), upper=False)
    seen = known[:, outputs:].T * first_rows(len(p), len(q), q)  # [new, n]
    variance = 1 + ((q @ covariance) * q).sum(-1, keepdim=True) - seen.square().sum(-1, keepdim=True)
    found = q @ mean + seen @ known[:, :outputs], variance.clamp_min(1.0) * noise
    return as_features(features, found[0]), as_features(features, found[1])


def with_jitter(root: Tensor) -> Tensor:
    """R R^T, which may have no inverse, and a little of its mean diagonal."""
    found = root @ root.T
    return found + JITTER * found.diagonal().mean() * torch.eye(
        len(root), dtype=root.dtype, device=root.device
    )


def with_one(features: Tensor) -> Tensor:
    """Features [..., d] and a 1."""
    return torch.cat([features, torch.ones_like(features[..., :1])], -1)
