"""TabPFN with scikit-learn's fit and predict, where its package and weights are installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.types import MetatlError

Array = NDArray[Any]
PACKAGE = "tabpfn"
WEIGHTS = (
    "its weights have a licence of their own; it fetches them at the first use (an account's key in "
    "TABPFN_TOKEN), or finds them in the folder that TABPFN_MODEL_CACHE_DIR names"
)


class TabPFN:
    """p(y | x, rows) by TabPFN's own classes; fitting keeps the rows, and every prediction reads them.

    So what is saved are the rows, and whoever predicts needs the package and its weights too. Source:
    Hollmann et al. 2025, Nature 637, doi 10.1038/s41586-024-08328-6; package `tabpfn`.
    """

    def __init__(self) -> None:
        self.classes_: Array = np.zeros(0)
        self.rows_: Array = np.zeros((0, 0))
        self.y_: Array = np.zeros(0)

    @staticmethod
    def missing_package() -> str:
        """What to install; "" where nothing is missing."""
        if find_spec(PACKAGE) is not None:
            return ""
        return f"the package {PACKAGE}: pip install {PACKAGE}; {WEIGHTS}"

    def fit(self, x: Array, y: Array) -> TabPFN:
        """Keep the rows x [n, d] with their classes or real values y [n]."""
        self.rows_, self.y_ = np.asarray(x), np.asarray(y)
        self.classes_ = np.zeros(0) if self.y_.dtype.kind == "f" else np.unique(self.y_)
        return self

    def predict_proba(self, x: Array) -> Array:
        """Probability of each of `classes_`, [n, classes]."""
        if len(self.classes_) == 1:
            return np.ones((len(x), 1))
        return np.asarray(self._asked("TabPFNClassifier", "predict_proba", x))

    def predict(self, x: Array) -> Array:
        """The likeliest class, or the mean of a real value, [n]."""
        if len(self.classes_):
            return self.classes_[self.predict_proba(x).argmax(1)]
        return np.asarray(self._asked("TabPFNRegressor", "predict", x))

    def stored(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Everything that predictions depend on beside the package, as plain values and arrays."""
        return {}, {"rows": self.rows_, "y": self.y_}

    @staticmethod
    def of(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> TabPFN:
        """The fitted object of these parts; raises ValueError or KeyError where they do not fit."""
        rows, y = arrays["rows"], arrays["y"]
        if values or rows.ndim != 2 or y.shape != (len(rows),) or not len(rows):
            raise ValueError("its rows do not fit")
        return TabPFN().fit(rows, y)

    def _asked(self, kind: str, what: str, x: Array) -> Any:
        """What TabPFN says; MetatlError in one line for what it raises."""
        if why := self.missing_package():
            raise MetatlError(f"TabPFN needs {why}")
        try:
            return getattr(getattr(import_module(PACKAGE), kind)().fit(self.rows_, self.y_), what)(x)
        except Exception as error:  # nothing says what it raises without weights, a network or a licence
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise MetatlError(f"TabPFN: {said} ({WEIGHTS})") from error
