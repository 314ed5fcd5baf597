"""An exact Gaussian process on features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metatl.adapt.solvers import process
from metatl.adapt.solvers.process import Hyperparameters, Kernel, Process, evidence_of, seen
from metatl.adapt.solvers.solver import Solver, as_features, check_rows
from metatl.adapt.solvers.suggested_kernel import suggested
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class GaussianProcess(Solver):
    """y = mean + f(z) + e, f ~ GP(0, k), e ~ N(0, s): exact, by Cholesky in float64, O(n^3).

    k is c exp(-|z - z'|^2 / (2 l^2)) (`rbf`), c z.z' (`linear`) or c cos(z, z') (`cosine`). c, l, s and the
    mean are learned over tasks with the features by the evidence (objective `Evidence`): deep kernel transfer
    (Patacchiola et al. 2020, arXiv 1910.05199). Classes are one-against-rest targets +1 and -1 with mean 0.
    Outputs are the posterior means, which is the published softmax; with `predictive`, for classes, the
    logits 2 mean / (variance + s): those of the labels' own densities N(+1), N(-1) under the process.

    Without a learned prior l^2 is half of the rows' mean squared distance; for classes c is 1, s `noise` and
    the mean 0; every real output has a mean, c and s of its own, with one c / s, by evidence (`suggested`).

    Args:
        kernel: as above.
        noise: s before it is learned, and that of classes.
        predictive: whether logits of classes use the predictive variance.
    """

    kernel: Kernel = "rbf"
    noise: float = 0.1
    predictive: bool = False

    real: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a variance that is none."""
        if not self.noise > 0:
            raise MetatlError(f"GaussianProcess: noise is {self.noise}; it is a variance above 0")

    def prior(self, size: int, outputs: int) -> Params:
        """c = 1, l = sqrt(d), s = noise, mean 0."""
        values = {"scale": 0.0, "length": math.log(size) / 2, "noise": math.log(self.noise)}
        found = {f"log_{name}": torch.tensor(value) for name, value in values.items()}
        return {**found, "mean": torch.tensor(0.0)}

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Process:
        """With the default kernel on these rows [n, d]."""
        check_rows(features, y, outputs, weight, none=True)
        own = suggested(self.kernel, self.noise, features, y, outputs, weight)
        return seen(self.kernel, features, y, outputs, weight, own)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Process:
        """With the learned kernel, on rows [n, d]."""
        check_rows(features, y, outputs, weight, none=True)
        scale, length, noise = (prior[f"log_{name}"].double().exp() for name in ("scale", "length", "noise"))
        own = Hyperparameters(scale, length, noise, prior["mean"].double())
        return seen(self.kernel, features, y, outputs, weight, own)

    def predict(self, fitted: Process, features: Tensor) -> Tensor:
        """mean + k(z, rows) (K + s)^-1 (y - mean), [n, outputs]; for classes as said above."""
        near = process.across(self.kernel, fitted, features)
        found = fitted.mean.double() + near @ fitted.solved.double()
        if self.predictive:
            sharp = 2 * found / process.variance(self.kernel, fitted, features, near)
            found = torch.where(fitted.labels > 0, sharp, found)
        return as_features(features, found)

    def spread(self, fitted: Process, features: Tensor) -> Tensor:
        """k(z, z) - k(z, rows) (K + s)^-1 k(rows, z) + s, with the c and s of an output: [n, outputs]."""
        found = process.variance(self.kernel, fitted, features, process.across(self.kernel, fitted, features))
        found = found * fitted.noise.double() / fitted.noise.double().mean()
        return as_features(features, found.expand(-1, fitted.solved.shape[1]))

    def evidence(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Tensor:
        """log N(y; mean, K + s), 0-d: y [n, outputs] summed over outputs; rows count by weight [n]."""
        return evidence_of(self.fit_under(prior, features.double(), y, outputs, weight), y, outputs)
