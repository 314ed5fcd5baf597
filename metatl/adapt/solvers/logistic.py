"""Multinomial logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
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
        x, rows = features.detach().double(), row_weights(features, weight)
        if not bool(x.isfinite().all()):
            raise MetatlError("LogisticRegression: a feature is not finite; check the inputs and the net")
        share, member = rows / rows.sum(), one_hot(y, outputs)
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
        return Linear(as_features(features, weight_out), as_features(features, bias))

    def predict(self, fitted: Linear, features: Tensor) -> Tensor:
        """W x + b, [n, outputs]."""
        return torch.nn.functional.linear(features.to(fitted.weight.dtype), *fitted)

    def _minimum(self, x: Tensor, member: Tensor, share: Tensor) -> Linear:
        weight, bias = x.new_zeros(member.shape[1], x.shape[1]), x.new_zeros(member.shape[1])
        search = torch.optim.LBFGS(
            [weight, bias],
            max_iter=self.iterations,
            max_eval=2 * self.iterations,
            tolerance_grad=1e-9,
            tolerance_change=1e-14,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            # The gradient is written out: a fit takes none from torch, and works where torch records none.
            with torch.no_grad():
                log = torch.nn.functional.linear(x, weight, bias).log_softmax(-1)
                error = (log.exp() - member) * share.unsqueeze(-1)
                weight.grad, bias.grad = error.T @ x + self.l2 * weight, error.sum(0)
                return -(share @ (log * member).sum(-1)) + 0.5 * self.l2 * weight.square().sum()

        search.step(loss)  # pyright: ignore[reportUnknownMemberType]
        return Linear(weight, bias)


def _deviation(x: Tensor, share: Tensor, mean: Tensor) -> Tensor:
    """Standard deviation of centred features [d]; 1 where it is nothing but rounding."""
    found = (share @ x.square()).sqrt()
    return torch.where(found > 1e-6 * mean.abs(), found, 1.0)
