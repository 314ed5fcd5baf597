"""What ridge regression leaves open: the posterior whose mean it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import best_ridge, widened
from metatl.adapt.solvers.solver import Linear, as_features


class RidgePosterior(NamedTuple):
    """A layer of real values and what is not known of it, for rows less `centre` [d].

    weight [outputs, d], bias [outputs]; the inverse is flat (I - G^T G), G `factor` [n, d], or G^T G where
    `flat` (0-d) is 0; `constant` 0-d: the constant's share of a variance; noise [outputs].
    """

    weight: Tensor
    bias: Tensor
    centre: Tensor
    factor: Tensor
    flat: Tensor
    constant: Tensor
    noise: Tensor


def around(line: Linear, features: Tensor, y: Tensor, counts: Tensor, ridge: Tensor) -> RidgePosterior:
    """The posterior of features [n, d] and y [n, outputs] under W ~ N(0, noise / ridge), b flat.

    line: its mean, the ridge regression with this ridge 0-d, on the scale of a sum over rows; counts: what
    each row counts [n]. By n equations or d, whichever are fewer, in float64. The noise is that under which
    the rows are likeliest (`best_ridge`), wider where they are few.
    """
    x, total = features.double(), counts.sum()
    centre = counts @ x / total
    rows = (x - centre) * counts.sqrt().unsqueeze(-1)
    products, eye = (
        (rows @ rows.T, rows) if len(x) <= x.shape[1] else (rows.T @ rows, torch.eye(x.shape[1]).to(rows))
    )
    lower = torch.linalg.cholesky(products + ridge * torch.eye(len(products)).to(products))
    factor = torch.linalg.solve_triangular(lower, eye, upper=False)
    flat = 1 / ridge if len(x) <= x.shape[1] else torch.zeros_like(ridge)
    noise = widened(best_ridge(x, y.double(), counts)[1], total - 1)
    return RidgePosterior(*line, centre, factor, flat, 1 / total, as_features(features, noise))


def variance(fitted: RidgePosterior, features: Tensor) -> Tensor:
    """noise (1 + 1 / n + r^T (X^T X + ridge I)^-1 r), r = a row of features [m, d] - centre; [m, outputs]."""
    rows = features.double() - fitted.centre
    known = (rows @ fitted.factor.T).square().sum(-1, keepdim=True)
    length = rows.square().sum(-1, keepdim=True)
    left = torch.where(fitted.flat > 0, fitted.flat * (length - known), known)
    return (1 + fitted.constant + left.clamp_min(0.0)).to(fitted.noise.dtype) * fitted.noise
