"""Gaussian classes with a posterior over their means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import NOTHING
from metatl.adapt.solvers.solver import Solver, as_features, check_labels, check_rows, one_hot, row_weights
from metatl.types import MetatlError, Params


class ClassPosterior(NamedTuple):
    """means, variances [outputs, d] of a new row of each class; log_share [outputs]; power, 0-d."""

    means: Tensor
    variances: Tensor
    log_share: Tensor
    power: Tensor


@dataclass(frozen=True)
class GaussianClasses(Solver):
    """log p(c | z) from z ~ N(mu_c, W), mu_c ~ N(m, B), W and B diagonal, and Dirichlet shares of classes.

    After n rows of class c with sum s the mean is N(v (m / B + s / W), v), v = 1 / (1 / B + n / W), a new row
    has variance v + W, and the share is (n + concentration) / sum. m, W, B are learned over tasks with the
    features (PCOC: Harrison et al. 2019, arXiv 1912.08866). With W = w I and B large it is ProtoNet with
    logits divided by 2 w (1 + 1 / n). A class without a row has the prior's density.

    Without a learned prior m is the mean of the rows, B their mean variance in a feature, W that within the
    classes (with one row's worth of half of B), and densities have the power (tr C)^2 / (d tr C^2): what C,
    the covariance of all rows, has of independent features; d of them would count as many times too often.

    Args:
        concentration: rows of each class that are thought to be there before the first.
    """

    concentration: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a prior that is none."""
        if not self.concentration > 0:
            raise MetatlError(
                f"GaussianClasses: concentration is {self.concentration}; give a number above 0"
            )

    def prior(self, size: int, outputs: int) -> Params:
        """m = 0, W = B = 1."""
        return {name: torch.zeros(size) for name in ("centre", "log_within", "log_between")}

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> ClassPosterior:
        """Of features [n, d], under the prior that the rows themselves suggest."""
        check_rows(features, y, outputs, weight)
        check_labels(self, y)
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
        return self._posterior(centre, within * same, between * same, power, features, y, outputs, weight)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> ClassPosterior:
        """Of features [n, d], under m, W and B."""
        check_rows(features, y, outputs, weight, none=True)
        check_labels(self, y)
        within, between = (prior[name].double().exp() for name in ("log_within", "log_between"))
        power = torch.ones((), dtype=torch.float64, device=features.device)
        return self._posterior(prior["centre"].double(), within, between, power, features, y, outputs, weight)

    def predict(self, fitted: ClassPosterior, features: Tensor) -> Tensor:
        """log p(c | z), [n, outputs]."""
        means, variances, share, power = (value.double() for value in fitted)
        z, precision = features.double(), 1 / variances
        far = z.square() @ precision.T - 2 * z @ (means * precision).T + (means.square() * precision).sum(-1)
        density = -(far.clamp_min(0.0) + variances.log().sum(-1)) / 2
        return as_features(features, (share + power * density).log_softmax(-1))

    def _posterior(
        self, centre: Tensor, within: Tensor, between: Tensor, power: Tensor,
        features: Tensor, y: Tensor, outputs: int, weight: Tensor | None,
    ) -> ClassPosterior:  # fmt: skip
        member = one_hot(y, outputs) * row_weights(features, weight).unsqueeze(-1)
        count = member.sum(0)
        variance = 1 / (1 / between + count.unsqueeze(-1) / within)
        means = variance * (centre / between + member.T @ features.double() / within)
        share = count + self.concentration
        found = means, variance + within, (share / share.sum()).log(), power
        return ClassPosterior(*(as_features(features, value) for value in found))
