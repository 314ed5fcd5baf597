"""Real values with scikit-learn's verbs: fit, predict, score."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from metatl.adapt import check_outputs
from metatl.data.given_targets import real_targets
from metatl.data.targets import Targets
from metatl.transferring.estimating import TransferEstimator
from metatl.transferring.input_errors import as_value_error


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
        values = outputs.double().numpy()
        return values[:, 0] if self.model.made.get("flat", len(self.model.names) == 1) else values

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 = 1 - sum (y - f)^2 / sum (y - mean y)^2, the mean over targets."""
        values, found = np.asarray(y, np.float64), self.predict(X)
        middle = np.average(values, axis=0, weights=sample_weight)
        left, whole = (
            np.average((values - of) ** 2, axis=0, weights=sample_weight) for of in (found, middle)
        )
        return float(np.mean(1 - left / np.where(whole > 0, whole, 1.0)))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know."""
        from metatl.transferring.tags import tags

        return tags("regressor")
