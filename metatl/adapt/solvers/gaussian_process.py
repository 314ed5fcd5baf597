"""An exact Gaussian process on features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import best_noise, widened
from metatl.adapt.solvers.process import (
    Hyperparameters,
    Kernel,
    Process,
    across,
    kernel_of,
    seen,
    targets,
    variance,
)
from metatl.adapt.solvers.solver import Solver, as_features, check_rows, columns, row_weights
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class GaussianProcess(Solver):
    """y = mean + f(z) + e, f ~ GP(0, k), e ~ N(0, s): exact, by Cholesky in float64, O(n^3).

    k is c exp(-|z - z'|^2 / (2 l^2)) (`rbf`), c z.z' (`linear`) or c cos(z, z') (`cosine`). c, l, s and the
    mean are learned over tasks with the features by the evidence (objective `Evidence`): deep kernel transfer
    (Patacchiola et al. 2020, arXiv 1910.05199). Classes are one-against-rest targets +1 and -1 with mean 0.
    Outputs are the posterior means, which is the published softmax; with `predictive`, for classes, the
    logits 2 mean / (variance + s): those of the labels' own densities N(+1), N(-1) under the process.

    Without a learned prior l^2 is half of the rows' mean squared distance; for classes c is 1, s is `noise`
    and the mean 0; of real targets every output has a mean, c and s of its own, with one c / s: by evidence,
    not from `noise`, widened by what is not known of them (`evidence.best_noise`, `evidence.widened`).

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
        values = {
            "log_scale": 0.0,
            "log_length": math.log(size) / 2,
            "log_noise": math.log(self.noise),
            "mean": 0.0,
        }
        return {name: torch.tensor(value) for name, value in values.items()}

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Process:
        """With the default kernel on these rows [n, d]."""
        check_rows(features, y, outputs, weight, none=True)
        x = features.double()
        centre = x.mean(0) if len(x) > 1 else torch.zeros_like(x.sum(0))
        square = (x - centre).square().sum(-1).sum() / max(len(x) - 1, 1)  # half of the mean over pairs
        length = torch.where(square > 0, square, torch.ones_like(square)).sqrt()
        one = torch.ones_like(length)
        given = features, y, outputs, weight
        if not y.is_floating_point():
            return seen(self.kernel, *given, Hyperparameters(one, length, self.noise * one, 0 * one))
        counts, target = row_weights(features, weight), columns(y, outputs).double()
        ratio, noise = best_noise(kernel_of(self.kernel, x, x, one, length), target, counts)
        wide = widened(noise, counts.sum() - 1)
        mean = counts @ target / counts.sum().clamp_min(1e-300)
        return seen(self.kernel, *given, Hyperparameters(wide.mean() / ratio, length, wide, mean))

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
        near = across(self.kernel, fitted, features)
        found = fitted.mean.double() + near @ fitted.solved.double()
        if self.predictive:
            sharp = 2 * found / variance(self.kernel, fitted, features, near)
            found = torch.where(fitted.labels > 0, sharp, found)
        return as_features(features, found)

    def spread(self, fitted: Process, features: Tensor) -> Tensor:
        """k(z, z) - k(z, rows) (K + s)^-1 k(rows, z) + s, with the c and s of an output: [n, outputs]."""
        near = across(self.kernel, fitted, features)
        found, noise = variance(self.kernel, fitted, features, near), fitted.noise.double()
        return as_features(features, (found * noise / noise.mean()).expand(-1, fitted.solved.shape[1]))

    def evidence(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Tensor:
        """log N(y; mean, K + s), 0-d: y [n, outputs] summed over outputs; rows count by weight [n]."""
        fitted = self.fit_under(prior, features.double(), y, outputs, weight)
        target = targets(y, outputs, fitted.mean) * fitted.root.unsqueeze(-1)
        half = fitted.factor.diagonal().log().sum() + len(target) * math.log(2 * math.pi) / 2
        return -(target * fitted.solved).sum() / 2 - outputs * half
