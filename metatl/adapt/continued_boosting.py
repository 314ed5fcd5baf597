"""Gradient boosting of a source that goes on with the target's rows."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from metatl.adapt.estimators import looked_at
from metatl.adapt.estimators.forest import Array
from metatl.types import MetatlError


@dataclass
class ContinuedBoosting:
    """Gradient boosting that was fitted to a source and goes on with more trees on the target's rows.

    f = f_source + rate * sum_t tree_t, each tree fitted to the gradient on the target at what is there so
    far. Of scikit-learn's GradientBoosting alone: HistGradientBoosting's `warm_start` reads other data in
    the bins of the first, which would be wrong.

    Args:
        source: a fitted GradientBoostingClassifier or -Regressor.
        more: trees of each output that are added to those that the source has (of one that stopped early,
            those of it).
    """

    source: Any
    more: int = 50

    def __post_init__(self) -> None:
        """Refuse a source that is none, and no trees."""
        if not isinstance(self.more, int) or self.more < 1:
            raise MetatlError(
                f"ContinuedBoosting: more is {self.more!r}; give 1 tree or more, a whole number"
            )
        if not type(self.source).__name__.startswith("GradientBoosting") or not hasattr(
            self.source, "estimators_"
        ):
            raise MetatlError("ContinuedBoosting: source is no fitted GradientBoosting of scikit-learn")

    def fit(self, x: Array, y: Array) -> ContinuedBoosting:
        """Add trees that are fitted to x [n, d], y [n]. Raises MetatlError for classes that are new."""
        classes = getattr(self.source, "classes_", None)
        x = self._inputs(x)
        y = looked_at.targets("ContinuedBoosting", y, len(x), classes)
        weight = np.ones(len(y))
        if classes is not None:
            new = sorted(set(y.tolist()) - set(cast(Array, classes).tolist()), key=str)
            if new:
                raise MetatlError(
                    f"ContinuedBoosting: the source never saw class {new[0]!r}; it knows {classes.tolist()}"
                )
            absent = np.setdiff1d(classes, y)  # a row that weighs next to nothing keeps a class's output
            x = np.concatenate([x, np.repeat(x[:1], len(absent), 0)])
            y, weight = np.concatenate([y, absent]), np.append(weight, np.full(len(absent), 1e-12))
        made = copy.deepcopy(self.source)
        made.set_params(
            warm_start=True, n_estimators=len(made.estimators_) + self.more, n_iter_no_change=None
        )
        self.fitted_ = made.fit(x, y, sample_weight=weight)
        if classes is not None:
            self.classes_ = classes
        return self

    def predict_proba(self, x: Array) -> Array:
        """Probabilities of `classes_` [n, classes]."""
        return self._fitted().predict_proba(self._inputs(x))

    def predict(self, x: Array) -> Array:
        """Classes or values [n]."""
        return self._fitted().predict(self._inputs(x))

    def _fitted(self) -> Any:
        if not hasattr(self, "fitted_"):
            raise MetatlError("ContinuedBoosting: it is not fitted yet; call fit with rows of the target")
        return self.fitted_

    def _inputs(self, x: Any) -> Array:
        return looked_at.inputs("ContinuedBoosting", x, self.source.n_features_in_)
