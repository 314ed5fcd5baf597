"""k nearest neighbours, with scikit-learn's fit and predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metatl.types import MetatlError

Array = NDArray[Any]


@dataclass
class NearestNeighbours:
    """The k nearest fitted rows by Euclidean distance vote (classes) or are averaged (real targets).

    A row of weight w counts as w rows. With fewer than k in all, all vote. Equally distant rows vote in the
    order in which they were fitted; among equally many votes the first class wins. Unlike the rest of this
    package `fit` changes the object, as estimators do.

    Args:
        k: neighbours.
    """

    k: int = 1

    def __post_init__(self) -> None:
        """Refuse a vote of nobody."""
        if self.k < 1:
            raise MetatlError(f"NearestNeighbours: k is {self.k}; give 1 or more")
        self.classes_: Array = np.zeros(0)
        self._rows = self._votes = self._weight = torch.zeros(0)

    def fit(self, x: Array, y: Array, sample_weight: Array | None = None) -> NearestNeighbours:
        """Keep the rows x [n, d] with their classes or targets y, [n] or [n, targets]."""
        weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        kept, y = weight > 0, np.asarray(y)
        if not kept.any():
            raise MetatlError("NearestNeighbours: no row has a weight above 0; give at least one")
        if y.dtype.kind == "f":
            self.classes_, votes = np.zeros(0), y.reshape(len(y), -1)
        else:
            self.classes_ = np.unique(y[kept])
            votes = y[:, None] == self.classes_
        self._rows = torch.as_tensor(np.asarray(x)[kept], dtype=torch.float64)
        self._votes = torch.as_tensor(votes[kept], dtype=torch.float64)
        self._weight = torch.as_tensor(weight[kept])
        return self

    def predict_proba(self, x: Array) -> Array:
        """Share of the votes for each of `classes_`, [n, classes]."""
        return self._means(x)

    def predict(self, x: Array) -> Array:
        """The class with most votes [n], or the mean target, [n] or [n, targets]."""
        found = self._means(x)
        if len(self.classes_):
            return self.classes_[found.argmax(1)]
        return found[:, 0] if found.shape[1] == 1 else found

    def _means(self, x: Array) -> Array:
        if not len(self._rows):
            raise MetatlError("NearestNeighbours: fit comes before predict")
        new = torch.as_tensor(np.asarray(x), dtype=torch.float64)
        far = torch.cdist(new, self._rows, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = far.sort(dim=1, stable=True).indices
        weight = self._weight[nearest]
        # Of every row as much as is left of k when its turn comes.
        weight = (self.k - (weight.cumsum(1) - weight)).clamp_min(0.0).minimum(weight)
        share = torch.zeros_like(far).scatter(1, nearest, weight / weight.sum(1, keepdim=True))
        return (share @ self._votes).numpy()
