"""Which fitted estimators can be kept as plain arrays, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.estimators.forest import Forest
from metatl.adapt.estimators.scikit_learn import boosted, forest, gradient_boosted, neighbours
from metatl.adapt.neighbours import NearestNeighbours
from metatl.adapt.tabpfn import TabPFN
from metatl.types import MetatlError

_FREEZERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("sklearn.ensemble", "ExtraTreesClassifier"): forest,
    ("sklearn.ensemble", "ExtraTreesRegressor"): forest,
    ("sklearn.ensemble", "RandomForestClassifier"): forest,
    ("sklearn.ensemble", "RandomForestRegressor"): forest,
    ("sklearn.ensemble", "HistGradientBoostingClassifier"): boosted,
    ("sklearn.ensemble", "HistGradientBoostingRegressor"): boosted,
    ("sklearn.ensemble", "GradientBoostingClassifier"): gradient_boosted,
    ("sklearn.ensemble", "GradientBoostingRegressor"): gradient_boosted,
    ("sklearn.neighbors", "KNeighborsClassifier"): neighbours,
    ("sklearn.neighbors", "KNeighborsRegressor"): neighbours,
    ("metatl.adapt.tree_transfer", "TreeTransfer"): lambda made: made.forest_,
    ("metatl.adapt.continued_boosting", "ContinuedBoosting"): lambda made: gradient_boosted(made.fitted_),
}
_STORED: dict[str, Any] = {"forest": Forest, "neighbours": NearestNeighbours, "tabpfn": TabPFN}


def is_frozen_kind(made: Any) -> bool:
    """Whether `frozen` takes estimators of exactly this one's class."""
    return isinstance(made, Forest) or type(made) in (NearestNeighbours, TabPFN) or _freezer(made) is not None


def frozen(estimator: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A fitted estimator as JSON values and tensors (trees [nodes], rows [n, d], each by its name).

    Takes scikit-learn's ExtraTrees, RandomForest, HistGradientBoosting and KNeighbors, Classifiers and
    Regressors, and `NearestNeighbours`; raises MetatlError for any other.
    """
    freezer = _freezer(estimator)
    stored = estimator if freezer is None else freezer(estimator)
    for kind, made in _STORED.items():
        if type(stored) is made:
            values, arrays = stored.stored()
            return {"kind": kind, **values}, {name: torch.as_tensor(one) for name, one in arrays.items()}
    raise MetatlError(
        f"a fitted {type(estimator).__name__} cannot be saved; take nearest neighbours, or one of "
        f"{', '.join(name for _, name in _FREEZERS)}"
    )


def thawed(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """What predicts (`predict`, of classes `predict_proba` too) as the estimator that was frozen.

    Needs no scikit-learn. Raises MetatlError for parts that do not belong together.
    """
    plain = {name: value for name, value in values.items() if name != "kind"}
    arrays = {name: one.detach().cpu().numpy() for name, one in tensors.items()}
    try:
        return _STORED[values["kind"]].of(plain, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise MetatlError(f"a saved estimator is damaged ({error}); get the model again") from error


def _freezer(made: Any) -> Callable[[Any], Any] | None:
    """By its very class: a subclass may predict in another way."""
    for (module, name), freezer in _FREEZERS.items():
        if type(made) is getattr(sys.modules.get(module), name, object()):
            return freezer
    return None
