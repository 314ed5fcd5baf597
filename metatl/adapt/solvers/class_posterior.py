"""Posteriors of class means under a Gaussian prior, and the prior that rows themselves suggest."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import NOTHING
from metatl.adapt.solvers.solver import as_features, one_hot, row_weights


class ClassPrior(NamedTuple):
    """The prior: centre, within and between [d]; power of a density, 0-d; float64."""

    centre: Tensor
    within: Tensor
    between: Tensor
    power: Tensor


class ClassPosterior(NamedTuple):
    """means, variances [outputs, d] of a new row of each class; log_share [outputs]; power, 0-d."""

    means: Tensor
    variances: Tensor
    log_share: Tensor
    power: Tensor


def suggested(features: Tensor, y: Tensor, outputs: int, weight: Tensor | None) -> ClassPrior:
    """Of features [n, d] with labels y [n]; see `GaussianClasses`."""
    x, rows = features.double(), row_weights(features, weight)
    share, member = rows / rows.sum(), one_hot(y, outputs)
    centre = share @ x
    count = rows @ member
    means = (member.T @ (rows.unsqueeze(-1) * x)) / count.clamp_min(1e-300).unsqueeze(-1)
    size, x = x.shape[1], (x - centre)
    between = (share @ x.square()).mean().clamp_min(NOTHING)
    inside = (rows @ (x + centre - member @ means).square()).mean()
    within = (inside + between / 2) / ((rows.sum() - (count > 0).sum()).clamp_min(0) + 1)
    scaled = share.sqrt().unsqueeze(-1) * x
    spread = (scaled @ scaled.T).square().sum().clamp_min(1e-300)
    power = ((size * between) ** 2 / spread / size).clamp(1 / size, 1.0)
    same = torch.ones_like(centre)
    return ClassPrior(centre, within * same, between * same, power)


def posterior(
    before: ClassPrior, concentration: float, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None
) -> ClassPosterior:
    """Of features [n, d] with labels y [n], shares with `concentration` rows of each class before."""
    centre, within, between, power = before
    member = one_hot(y, outputs) * row_weights(features, weight).unsqueeze(-1)
    count = member.sum(0)
    variance = 1 / (1 / between + count.unsqueeze(-1) / within)
    means = variance * (centre / between + member.T @ features.double() / within)
    share = count + concentration
    found = means, variance + within, (share / share.sum()).log(), power
    return ClassPosterior(*(as_features(features, value) for value in found))
