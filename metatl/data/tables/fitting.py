"""What scikit-learn's imputers, scaler and one-hot encoder find in columns, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from metatl.data.tables.columns import Array
from metatl.types import MetatlError

MOST_CATEGORIES = 50


def _sklearn(module: str) -> Any:
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MetatlError("tables need scikit-learn: pip install metatl[tables]") from error


def fitted_numbers(values: Array) -> dict[str, Array]:
    """fill [d], absent [a] (columns with missing values), mean and scale [d + a], of values [n, d]."""
    if not values.shape[1]:
        return {"absent": np.zeros(0, np.int64), **dict.fromkeys(("fill", "mean", "scale"), np.zeros(0))}
    imputer = _sklearn("impute").SimpleImputer(strategy="median", add_indicator=True)
    scaler = _sklearn("preprocessing").StandardScaler().fit(imputer.fit_transform(values))
    fill, absent = _imputed(imputer)
    return {"fill": fill, "absent": absent, "mean": scaler.mean_, "scale": scaler.scale_}


def fitted_booleans(values: Array) -> dict[str, Array]:
    """boolean_fill [b] (the more frequent one) and boolean_absent, of values [n, b]."""
    if not values.shape[1]:
        return {"boolean_fill": np.zeros(0), "boolean_absent": np.zeros(0, np.int64)}
    imputer = _sklearn("impute").SimpleImputer(strategy="most_frequent", add_indicator=True).fit(values)
    fill, absent = _imputed(imputer)
    return {"boolean_fill": fill, "boolean_absent": absent}


def fitted_categories(
    texts: Sequence[str | None],
) -> tuple[tuple[str | None, ...], tuple[str | None, ...]]:
    """The 50 most frequent categories, None for missing, and all others; both in order."""
    encoder = _sklearn("preprocessing").OneHotEncoder(
        handle_unknown="ignore", max_categories=MOST_CATEGORIES + 1, sparse_output=False
    )
    column = np.empty((len(texts), 1), object)
    column[:, 0] = texts
    encoder.fit(column)
    known: list[str | None] = encoder.categories_[0].tolist()
    rare = encoder.infrequent_categories_[0] if hasattr(encoder, "infrequent_categories_") else None
    others: list[str | None] = [] if rare is None else rare.tolist()
    return tuple(one for one in known if one not in others), tuple(others)


def _imputed(imputer: Any) -> tuple[Array, Array]:
    return imputer.statistics_.astype(np.float64), imputer.indicator_.features_.astype(np.int64)
