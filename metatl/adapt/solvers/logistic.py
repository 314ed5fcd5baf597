"""Multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.adapt.solvers import newton
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
from metatl.deadline import in_time
from metatl.types import MetatlError

Array = NDArray[np.float64]
SMALL = 400
"""Unknowns up to which Newton's equations are solved; L-BFGS takes over where they would be larger."""
NEARLY = 1e-5
"""A row whose distance from the span of earlier rows is below this share of the largest depends on them."""


@dataclass(frozen=True)
class LogisticRegression(Solver):
    """Minimum of sum_i w_i CE(W x_i + b, y_i) / sum_i w_i + l2/2 |W|^2, b free, in float64.

    By Newton's method where its equations are small, for many problems at once; else by L-BFGS. It is
    scikit-learn's `LogisticRegression(C=1 / (l2 sum w))`. Only classes with a row are fitted; another one
    gets a logit that is never chosen. Raises MetatlError where features are not finite.

    Args:
        l2: penalty, on the scale of a mean over rows.
        scaled: every feature is brought to standard deviation 1 over the support rows first (one that does
            not vary stays as it is), so that the penalty weighs all alike; W and b are for the features as
            given.
        iterations: at most; L-BFGS stops where no entry of the gradient is above 1e-9.
    """

    l2: float = 1e-2
    scaled: bool = False
    iterations: int = 1000

    def __post_init__(self) -> None:
        """Refuse a penalty without which separable classes have no solution."""
        if not self.l2 > 0 or self.iterations < 1:
            raise MetatlError("LogisticRegression: l2 must be above 0 and iterations at least 1")

    @property
    def rotation_invariant(self) -> bool:
        """All features are penalised alike, but where they are scaled one by one."""
        return not self.scaled

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Linear:
        """The minimum for features [n, d], from W = 0; constant for derivatives."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        rows = row_weights(features, weight)
        found = cast(Tensor, _Minimum.apply(features.detach(), one_hot(y, outputs), rows, self))
        return Linear(*(as_features(features, part) for part in (found[..., :-1], found[..., -1])))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """W x + b, [n, outputs]."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), *fitted)

    def layers(self, x: Array, member: Array, weight: Array) -> Array:
        """The minima of problems side by side, [problems, outputs, d + 1], biases last.

        x: [problems, n, d]; member: [problems, n, outputs], 1 at a row's class; weight: [problems, n].
        """
        if not np.isfinite(x).all():
            raise MetatlError("LogisticRegression: a feature is not finite; check the inputs and the net")
        share = weight / weight.sum(1, keepdims=True)
        # In centred and scaled features the same minimum is found in far fewer iterations.
        mean = share[:, None] @ x
        x = x - mean
        scale = _deviation(x, share, mean) if self.scaled else np.ones((len(x), 1, 1))
        if self.scaled:
            x /= scale
        target = share[..., None] * member
        seen = target.sum(1) > 0
        found = np.zeros((*seen.shape, x.shape[2] + 1))
        found[..., -1] = ABSENT
        for present in np.unique(seen, axis=0):
            those = (seen == present).all(1)
            some = self._minima(x[those], target[those][..., present], share[those])
            some[..., :-1] /= scale[those]
            some[..., -1] -= (some[..., :-1] * mean[those]).sum(2)
            found[np.ix_(those, present)] = some
        return found

    def _minima(self, x: Array, target: Array, share: Array) -> Array:
        """Minima for rows centred by their shares, all classes present."""
        if newton.unknowns(x.shape[1], x.shape[2], target.shape[2]) <= SMALL:
            return newton.minimum(x, target, share, self.l2, self.iterations)
        return np.stack([self._one(*problem) for problem in zip(x, target, share, strict=True)])

    def _one(self, x: Array, target: Array, share: Array) -> Array:
        """One minimum, [classes, d + 1], from W = 0 by L-BFGS."""
        counted = share > 0
        target, portion = target[counted], share[counted, None]
        rows, back = _in_span(x[counted], share[counted])
        classes, width = target.shape[1], rows.shape[1]

        def loss(flat: Array) -> tuple[float, Array]:
            in_time()
            layer, gradient = flat.reshape(classes, width + 1), np.empty((classes, width + 1))
            weight = layer[:, :-1]
            log = rows @ weight.T + layer[:, -1]
            log -= log.max(1, keepdims=True)
            log -= np.log(np.exp(log).sum(1, keepdims=True))
            error = portion * np.exp(log) - target
            gradient[:, :-1], gradient[:, -1] = error.T @ rows + self.l2 * weight, error.sum(0)
            value = 0.5 * self.l2 * (weight * weight).sum() - (target * log).sum()
            return float(value), gradient.reshape(-1)

        layer = _lowest(loss, classes * (width + 1), self.iterations).reshape(classes, width + 1)
        return np.concatenate([back(layer[:, :-1]), layer[:, -1:]], 1)


def _lowest(loss: Callable[[Array], tuple[float, Array]], size: int, iterations: int) -> Array:
    """Where a convex loss is lowest, [size], by scipy's L-BFGS from 0."""
    from scipy.optimize import minimize  # takes a while to import

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}
    found: Any = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options=options)
    return found.x


def _in_span(x: Array, share: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Centred rows x [n, d] in coordinates of their span [n, n - 1], and what takes W there back to [c, d].

    L L^T = X X^T over all rows but the last, which the others give, as the rows' weighted sum is 0. The
    minimum lies in that span, and lengths are the same there. Rows that (nearly) depend on one another in
    another way, or are more than d, stay as they are.
    """
    most, rows = torch.from_numpy(x[:-1]), x.shape[0]
    if not 1 < rows <= x.shape[1]:
        return x, lambda weight: weight
    root, failed = torch.linalg.cholesky_ex(most @ most.T)
    pivots = root.diagonal()
    if bool(failed) or not bool(pivots.min() > NEARLY * pivots.max()):
        return x, lambda weight: weight
    last = -(share[None, :-1] @ root.numpy()) / share[-1]

    def back(weight: Array) -> Array:
        inside = torch.from_numpy(weight)
        return (torch.linalg.solve_triangular(root, inside, upper=False, left=False) @ most).numpy()

    return np.concatenate([root.numpy(), last]), back


def _deviation(x: Array, share: Array, mean: Array) -> Array:
    """Standard deviation of centred features [problems, 1, d]; 1 where it is nothing but rounding."""
    found = np.sqrt(share[:, None] @ np.square(x))
    return np.where(found > 1e-6 * np.abs(mean), found, 1.0)


class _Minimum(torch.autograd.Function):
    """Features [..., n, d], members [..., n, outputs], weights [..., n] -> layers [..., outputs, d + 1]."""

    @staticmethod
    def forward(features: Tensor, member: Tensor, weight: Tensor, solver: LogisticRegression) -> Tensor:
        """The layers, float64; leading axes are problems side by side."""
        given = [t.detach().double().cpu().numpy() for t in (features, member, weight)]
        flat = [t.reshape(-1, *t.shape[t.ndim - axes :]) for t, axes in zip(given, (2, 2, 1), strict=True)]
        found = torch.from_numpy(solver.layers(*flat)).to(features.device)
        return found.view(*features.shape[:-2], *found.shape[1:])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """A constant: nothing flows back."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Nothing."""
        return None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *given: Any) -> tuple[Tensor, int]:
        """All problems at once."""
        *tensors, solver = given
        moved = [
            t.expand(info.batch_size, *t.shape) if at is None else t.movedim(at, 0)
            for t, at in zip(tensors, in_dims[:-1], strict=True)
        ]
        return cast(Tensor, _Minimum.apply(*moved, solver)), 0
