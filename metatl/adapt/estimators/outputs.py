"""Targets as an estimator takes them, and what it predicts as outputs [n, outputs]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from metatl.adapt.estimators.forest import Array
from metatl.data.targets import Kind
from metatl.types import MetatlError

FLOOR = 1e-12
"""Of a probability, so that its logarithm is a number."""


def columns(kind: Kind, y: Tensor, made: Any) -> list[Array]:
    """What estimators are fitted to, one each: y [n] itself, or the columns of y [n, k].

    Several labels are fitted one by one, several real values together where the estimator takes them.
    """
    values: Array = y.cpu().numpy()
    if kind == "labels":
        return list(values.astype(np.int64).T)
    if values.ndim == 2 and values.shape[1] == 1:  # a column of one is a warning there
        return [values[:, 0]]
    return list(values.T) if values.ndim == 2 and not _takes_several(made) else [values]


def _takes_several(made: Any) -> bool:
    tags = getattr(made, "__sklearn_tags__", None)
    return True if tags is None else bool(tags().target_tags.multi_output)


def outputs(kind: Kind, fitted: Sequence[Any], rows: Array, width: int) -> Array:
    """[n, width]: log-probabilities of classes, log-odds of each label, or real values."""
    if kind == "real":
        values = [said(one, lambda one=one: one.predict(rows)) for one in fitted]
        return np.concatenate([np.asarray(v, np.float64).reshape(len(rows), -1) for v in values], 1)
    if kind == "classes":
        return np.log(np.maximum(shares(fitted[0], rows, width), FLOOR))
    pairs = [np.log(np.maximum(shares(one, rows, 2), FLOOR)) for one in fitted]
    return np.stack([pair[:, 1] - pair[:, 0] for pair in pairs], 1)


def shares(fitted: Any, rows: Array, width: int) -> Array:
    """Probabilities [n, width]; 0 for a class that was not fitted."""
    found = np.zeros((len(rows), width))
    if callable(getattr(fitted, "predict_proba", None)):
        known = getattr(fitted, "classes_", slice(None))
        found[:, known] = said(fitted, lambda: fitted.predict_proba(rows))
    else:
        found[np.arange(len(rows)), said(fitted, lambda: fitted.predict(rows))] = 1.0
    return found


def said(estimator: Any, call: Callable[[], Any]) -> Any:
    """The result of a call, or what an estimator says against it in one line."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        name = estimator if isinstance(estimator, str) else type(estimator).__name__
        raise MetatlError(f"{name}: {' '.join(str(error).split())[:300]}") from error
