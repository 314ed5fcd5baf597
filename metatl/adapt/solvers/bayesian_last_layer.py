"""The Bayesian output layer that targets ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl.adapt.solvers.bayesian_linear import BayesianLinear
from metatl.adapt.solvers.gaussian_classes import GaussianClasses
from metatl.adapt.solvers.matrix_normal import Posterior
from metatl.adapt.solvers.solver import Solver


@dataclass(frozen=True)
class BayesianLastLayer(Solver):
    """BayesianLinear for real targets, GaussianClasses for class labels, each under a prior of its own.

    To learn a prior over tasks name one of the two.

    Args:
        values: of real targets.
        classes: of class labels.
    """

    values: BayesianLinear = BayesianLinear()
    classes: GaussianClasses = GaussianClasses()

    real: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Any:
        """The posterior of features [n, d]."""
        solver = self.values if y.is_floating_point() else self.classes
        return solver.fit(features, y, outputs, weight)

    def predict(self, fitted: Any, features: Tensor) -> Tensor:
        """Means of real targets, log-probabilities of classes, [m, outputs] of features [m, d]."""
        if isinstance(fitted, Posterior):
            return self.values.predict(fitted, features)
        return self.classes.predict(fitted, features)

    def spread(self, fitted: Any, features: Tensor) -> Tensor:
        """Of real targets, [m, outputs]."""
        return self.values.spread(fitted, features)
