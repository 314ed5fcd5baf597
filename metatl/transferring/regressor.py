"""Real values with scikit-learn's verbs: fit, predict, score."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.adapt import check_outputs
from metatl.data.given_targets import real_targets
from metatl.data.targets import Targets
from metatl.objectives.predictive import Predictive
from metatl.transferring.doubt import NO_DOUBT
from metatl.transferring.estimating import TransferEstimator
from metatl.transferring.input_errors import InputError, as_value_error
from metatl.transferring.model import SavedModel


@final
class Regressor(TransferEstimator):
    """One way of transferring to real values [n], or several [n, d], in their own units.

    Rows, parameters, errors and attributes: see `TransferEstimator`.
    """

    kinds = ("real",)

    def _targets(self, y: Any) -> tuple[Targets, dict[str, Any]]:
        return real_targets(y), {"flat": np.asarray(y).ndim == 1}

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Values [n], or [n, d] where they were fitted to such."""
        outputs = self._outputs(X)
        with as_value_error():
            check_outputs(outputs, self.model.reader.unit)
        return self._shaped(outputs)

    def predict_interval(
        self, X: Any, level: float = 0.95
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lower and upper ends, shaped as predictions, of intervals that hold this share of targets.

        mean -+ z deviation, both in the targets' units, the noise of a row included, z the quantile of the
        normal distribution; 0.95 gives those of `metatl predict`. Raises MetatlError (a ValueError too) for a
        level that is no share, and for a method that says values alone.
        """
        if not isinstance(level, float | int | np.number) or not 0 < level < 1:
            raise InputError(f"level is {level!r}; give a share between 0 and 1, 0.95 say")
        if not self.model.spreads:
            raise InputError(
                f"{self.model.made.get('method')} {NO_DOUBT}; choose one that does: method='bayes'"
            )
        mean, variance = self._outputs(X, _with_spread).chunk(2, -1)
        with as_value_error():
            check_outputs(mean, self.model.reader.unit)
        low, high = Predictive(mean.double(), variance.double()).interval(level)
        return self._shaped(low), self._shaped(high)

    def coverage(self, X: Any, y: Any, level: float = 0.95) -> float:
        """The share of values y, shaped as predictions, in their intervals: near `level` where these hold.

        Errors as in `predict_interval`, and for values of another shape, NaN among them.
        """
        low, high = self.predict_interval(X, level)
        values = _beside(low, y, "coverage")
        return float(np.mean((low <= values) & (values <= high)))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 = 1 - sum (y - f)^2 / sum (y - mean y)^2, the mean over targets; errors as in `coverage`.

        A target that does not vary counts 1 where it is met exactly, else 0, as in scikit-learn.
        """
        found = self.predict(X)
        values = _beside(found, y, "score")
        middle = np.average(values, axis=0, weights=sample_weight)
        left, whole = (
            np.average((values - of) ** 2, axis=0, weights=sample_weight) for of in (found, middle)
        )
        varies = whole > 0
        return float(np.mean(np.where(varies, 1 - left / np.where(varies, whole, 1.0), left == 0)))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know."""
        from metatl.transferring.tags import tags

        return tags("regressor")

    def _shaped(self, outputs: Tensor) -> NDArray[np.float64]:
        values = outputs.double().numpy()
        return values[:, 0] if self.model.made.get("flat", len(self.model.names) == 1) else values


def _beside(found: NDArray[np.float64], y: Any, what: str) -> NDArray[np.float64]:
    """True values as numbers, shaped as what was found; InputError for others, and for NaN."""
    with as_value_error():
        values = real_targets(y).values.numpy()
    shape = list(np.shape(y))
    if shape != list(found.shape):
        raise InputError(f"{what}: y is {shape}, and predictions are {list(found.shape)}")
    return values.reshape(found.shape)


def _with_spread(model: SavedModel, x: Any) -> Tensor:
    """Values and variances side by side, [n, 2 d]."""
    return torch.cat([model.outputs(x), model.spread(x)], -1)
