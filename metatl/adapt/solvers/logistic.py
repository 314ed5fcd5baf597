"""Multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.adapt.solvers.solver import (
    ABSENT,
    Linear,
    Solver,
    as_features,
    check_labels,
    check_rows,
    one_hot,
    row_weights,
)
from metatl.types import MetatlError

Array = NDArray[np.float64]
NEARLY = 1e-5
"""A row whose distance from the span of earlier rows is below this share of the largest depends on them."""


@dataclass(frozen=True)
class LogisticRegression(Solver):
    """Minimum of sum_i w_i CE(W x_i + b, y_i) / sum_i w_i + l2/2 |W|^2, b free, by L-BFGS in float64.

    scikit-learn's `LogisticRegression(C=1 / (l2 sum w))`. Only classes with a row are fitted; another one
    gets a logit that is never chosen. Raises MetatlError where features are not finite.

    Args:
        l2: penalty, on the scale of a mean over rows.
        scaled: every feature is brought to standard deviation 1 over the support rows first (one that does
            not vary stays as it is), so that the penalty weighs all alike; W and b are for the features as
            given.
        iterations: of L-BFGS at most; it stops where no entry of the gradient is above 1e-9.
    """

    l2: float = 1e-2
    scaled: bool = False
    iterations: int = 1000

    batched: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a penalty without which separable classes have no solution."""
        if not self.l2 > 0 or self.iterations < 1:
            raise MetatlError("LogisticRegression: l2 must be above 0 and iterations at least 1")

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Linear:
        """The minimum, from W = 0."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        x, rows = features.detach().double().cpu(), row_weights(features, weight).cpu()
        if not bool(x.isfinite().all()):
            raise MetatlError("LogisticRegression: a feature is not finite; check the inputs and the net")
        counted = rows > 0
        x, member = x[counted], one_hot(y.cpu(), outputs)[counted]
        share = rows[counted] / rows.sum()
        # In centred and scaled features the same minimum is found in far fewer iterations.
        mean = share @ x
        x = x - mean
        scale = _deviation(x, share, mean) if self.scaled else torch.ones_like(mean)
        present = (share @ member) > 0
        layer = self._minimum(x / scale, member[:, present], share)
        weight_out = x.new_zeros(outputs, x.shape[1])
        bias = x.new_full((outputs,), ABSENT)
        weight_out[present] = layer.weight / scale
        bias[present] = layer.bias - weight_out[present] @ mean
        return Linear(*(as_features(features, value).to(features.device) for value in (weight_out, bias)))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """W x + b, [n, outputs]."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), *fitted)

    def _minimum(self, x: Tensor, member: Tensor, share: Tensor) -> Linear:
        """The minimum for rows centred by their shares, from W = 0."""
        inside, back = _in_span(x, share)
        rows, classes, width = inside.numpy(), member.shape[1], inside.shape[1]
        portion = share.unsqueeze(-1).numpy()
        target = portion * member.numpy()

        def loss(flat: Array) -> tuple[float, Array]:
            # In numpy: of so many small steps, those of torch would take twice the time.
            layer, gradient = flat.reshape(classes, width + 1), np.empty((classes, width + 1))
            weight = layer[:, :-1]
            log = rows @ weight.T + layer[:, -1]
            log -= log.max(1, keepdims=True)
            log -= np.log(np.exp(log).sum(1, keepdims=True))
            error = portion * np.exp(log) - target
            gradient[:, :-1], gradient[:, -1] = error.T @ rows + self.l2 * weight, error.sum(0)
            value = 0.5 * self.l2 * (weight * weight).sum() - (target * log).sum()
            return float(value), gradient.reshape(-1)

        found = torch.from_numpy(_lowest(loss, classes * (width + 1), self.iterations))
        layer = found.view(classes, width + 1)
        return Linear(back(layer[:, :-1]), layer[:, -1])


def _lowest(loss: Callable[[Array], tuple[float, Array]], size: int, iterations: int) -> Array:
    """Where a convex loss is lowest, [size], by scipy's L-BFGS from 0."""
    from scipy.optimize import minimize  # takes a while to import

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}
    found: Any = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options=options)
    return found.x


def _in_span(x: Tensor, share: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Centred rows x [n, d] in coordinates of their span [n, n - 1], and what takes W there back to [c, d].

    L L^T = X X^T over all rows but the last, which the others give, as the rows' weighted sum is 0. The
    minimum lies in that span, and lengths are the same there. Rows that (nearly) depend on one another in
    another way, or are more than d, stay as they are.
    """
    most, rows = x[:-1], x.shape[0]
    if not 1 < rows <= x.shape[1]:
        return x, lambda weight: weight
    root, failed = torch.linalg.cholesky_ex(most @ most.T)
    pivots = root.diagonal()
    if bool(failed) or not bool(pivots.min() > NEARLY * pivots.max()):
        return x, lambda weight: weight
    last = -(share[:-1] @ root) / share[-1]

    def back(weight: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(root, weight, upper=False, left=False) @ most

    return torch.cat([root, last.unsqueeze(0)]), back


def _deviation(x: Tensor, share: Tensor, mean: Tensor) -> Tensor:
    """Standard deviation of centred features [d]; 1 where it is nothing but rounding."""
    found = (share @ x.square()).sqrt()
    return torch.where(found > 1e-6 * mean.abs(), found, 1.0)
