"""An exact Gaussian process on features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import best_noise, widened
from metatl.adapt.solvers.solver import Solver, as_features, check_rows, columns, is_wide, row_weights
from metatl.types import MetatlError, Params

JITTER = 1e-6
"""Share of the kernel's mean diagonal that is added to the noise: rows that are the same have an inverse."""

Kernel = Literal["rbf", "linear", "cosine"]


class Process(NamedTuple):
    """rows [n, d], root weights [n], factor [n, n] of kernel and noise, solved [n, outputs], the kernel.

    scale, length, noise, mean: 0-d; labels: 1 where targets were +1 and -1, else 0.
    """

    rows: Tensor
    root: Tensor
    factor: Tensor
    solved: Tensor
    scale: Tensor
    length: Tensor
    noise: Tensor
    mean: Tensor
    labels: Tensor


@dataclass(frozen=True)
class GaussianProcess(Solver):
    """y = mean + f(z) + e, f ~ GP(0, k), e ~ N(0, s): exact, by Cholesky in float64, O(n^3).

    k is c exp(-|z - z'|^2 / (2 l^2)) (`rbf`), c z.z' (`linear`) or c cos(z, z') (`cosine`). c, l, s and the
    mean are learned over tasks with the features by the evidence (objective `Evidence`): deep kernel transfer
    (Patacchiola et al. 2020, arXiv 1910.05199). Classes are one-against-rest targets +1 and -1 with mean 0.
    Outputs are the posterior means, which is the published softmax; with `predictive`, for classes, the
    logits 2 mean / (variance + s): those of the labels' own densities N(+1), N(-1) under the process.

    Without a learned prior l^2 is half of the rows' mean squared distance; for classes c is 1, s is `noise`
    and the mean 0; of real targets the mean is that of all of them, and c and s come from the evidence, not
    from `noise`, widened by what is not known of them (`evidence.best_noise`, `evidence.widened`).

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
        """Refuse a kernel that is not there and a variance that is none."""
        if self.kernel not in get_args(Kernel) or not self.noise > 0:
            raise MetatlError(
                f"GaussianProcess: kernel {self.kernel!r}, noise {self.noise}; kernels are "
                f"{', '.join(get_args(Kernel))}, and noise is a variance above 0"
            )

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
        if not y.is_floating_point():
            return self._process(features, y, outputs, weight, one, length, self.noise * one, 0 * one)
        counts, target = row_weights(features, weight), columns(y, outputs).double()
        ratio, noise = best_noise(self._kernel(x, x, one, length), target, counts)
        wide = widened(noise.mean(), counts.sum() - 1)
        mean = (counts @ target).mean() / counts.sum().clamp_min(1e-300)
        return self._process(features, y, outputs, weight, wide / ratio, length, wide, mean)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Process:
        """With the learned kernel, on rows [n, d]."""
        check_rows(features, y, outputs, weight, none=True)
        scale, length, noise = (prior[f"log_{name}"].double().exp() for name in ("scale", "length", "noise"))
        return self._process(features, y, outputs, weight, scale, length, noise, prior["mean"].double())

    def predict(self, fitted: Process, features: Tensor) -> Tensor:
        """mean + k(z, rows) (K + s)^-1 (y - mean), [n, outputs]; for classes as said above."""
        across = self._across(fitted, features)
        found = fitted.mean.double() + across @ fitted.solved.double()
        if self.predictive:
            sharp = 2 * found / self._variance(fitted, features, across)
            found = torch.where(fitted.labels > 0, sharp, found)
        return as_features(features, found)

    def spread(self, fitted: Process, features: Tensor) -> Tensor:
        """k(z, z) - k(z, rows) (K + s)^-1 k(rows, z) + s, [n, outputs]."""
        variance = self._variance(fitted, features, self._across(fitted, features))
        return as_features(features, variance.expand(-1, fitted.solved.shape[1]))

    def evidence(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Tensor:
        """log N(y; mean, K + s), 0-d: y [n, outputs] summed over outputs; rows count by weight [n]."""
        fitted = self.fit_under(prior, features.double(), y, outputs, weight)
        target = self._targets(y, outputs, fitted.mean) * fitted.root.unsqueeze(-1)
        half = fitted.factor.diagonal().log().sum() + len(target) * math.log(2 * math.pi) / 2
        return -(target * fitted.solved).sum() / 2 - outputs * half

    def _process(
        self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None,
        scale: Tensor, length: Tensor, noise: Tensor, mean: Tensor,
    ) -> Process:  # fmt: skip
        rows, root = features.double(), row_weights(features, weight).sqrt()
        labels = torch.full_like(scale, float(not y.is_floating_point()))
        mean = torch.zeros_like(mean) if not y.is_floating_point() else mean
        kernel = root.unsqueeze(-1) * self._kernel(rows, rows, scale, length) * root
        shown = kernel.diagonal().mean() if len(rows) else torch.zeros_like(scale)
        eye = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
        factor = torch.linalg.cholesky(kernel + (noise + JITTER * shown) * eye)
        target = self._targets(y, outputs, mean) * root.unsqueeze(-1)
        solved = torch.cholesky_solve(target, factor)
        held = rows, root, factor, solved, scale, length, noise, mean, labels
        return Process(*(as_features(features, value) for value in held))

    def _targets(self, y: Tensor, outputs: int, mean: Tensor) -> Tensor:
        found = columns(y, outputs)
        return found - mean if is_wide(y) else 2 * found - 1

    def _across(self, fitted: Process, features: Tensor) -> Tensor:
        kernel = self._kernel(
            features.double(), fitted.rows.double(), fitted.scale.double(), fitted.length.double()
        )
        return kernel * fitted.root.double()

    def _variance(self, fitted: Process, features: Tensor, across: Tensor) -> Tensor:
        """[n, 1]."""
        z, scale = features.double(), fitted.scale.double()
        own = scale * (z.square().sum(-1) if self.kernel == "linear" else torch.ones_like(z[:, 0]))
        known = torch.linalg.solve_triangular(fitted.factor.double(), across.T, upper=False).square().sum(0)
        return ((own - known).clamp_min(0.0) + fitted.noise.double()).unsqueeze(-1)

    def _kernel(self, a: Tensor, b: Tensor, scale: Tensor, length: Tensor) -> Tensor:
        if self.kernel == "cosine":
            a, b = (x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12) for x in (a, b))
        if self.kernel != "rbf":
            return scale * (a @ b.T)
        square = a.square().sum(-1, keepdim=True) - 2 * a @ b.T + b.square().sum(-1)
        return scale * (-square.clamp_min(0.0) / (2 * length.square())).exp()
