"""Gaussian classes with a posterior over their means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.adapt.solvers.class_posterior import ClassPosterior, ClassPrior, posterior, suggested
from metatl.adapt.solvers.solver import Solver, as_features, check_labels, check_rows
from metatl.types import MetatlError, Params


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
        before = suggested(features, y, outputs, weight)
        return posterior(before, self.concentration, features, y, outputs, weight)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> ClassPosterior:
        """Of features [n, d], under m, W and B."""
        check_rows(features, y, outputs, weight, none=True)
        check_labels(self, y)
        within, between = (prior[name].double().exp() for name in ("log_within", "log_between"))
        power = torch.ones((), dtype=torch.float64, device=features.device)
        before = ClassPrior(prior["centre"].double(), within, between, power)
        return posterior(before, self.concentration, features, y, outputs, weight)

    def predict(self, fitted: ClassPosterior, features: Tensor) -> Tensor:
        """log p(c | z), [n, outputs]."""
        means, variances, share, power = (value.double() for value in fitted)
        z, precision = features.double(), 1 / variances
        far = z.square() @ precision.T - 2 * z @ (means * precision).T + (means.square() * precision).sum(-1)
        density = -(far.clamp_min(0.0) + variances.log().sum(-1)) / 2
        return as_features(features, (share + power * density).log_softmax(-1))
