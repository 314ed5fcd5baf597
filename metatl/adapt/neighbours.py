"""k nearest neighbours, with scikit-learn's fit and predict."""

from __future__ import annotations

from collections.abc import Mapping
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
        self.rows_ = self.votes_ = self.weight_ = torch.zeros(0)

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
        self.rows_ = torch.as_tensor(np.asarray(x)[kept], dtype=torch.float64)
        self.votes_ = torch.as_tensor(votes[kept], dtype=torch.float64)
        self.weight_ = torch.as_tensor(weight[kept])
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

    def stored(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Everything that predictions depend on, as plain values and arrays."""
        arrays = {"rows": self.rows_.numpy(), "votes": self.votes_.numpy(), "weight": self.weight_.numpy()}
        return {"k": self.k, "classes": self.classes_.tolist()}, arrays

    @staticmethod
    def of(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> NearestNeighbours:
        """The fitted object of these parts; raises ValueError or KeyError where they do not fit."""
        found = NearestNeighbours(int(values["k"]))
        found.classes_ = np.array(values["classes"])
        rows, votes, weight = (torch.as_tensor(arrays[name]) for name in ("rows", "votes", "weight"))
        if not (rows.dim() == votes.dim() == 2 and len(rows) == len(votes) == len(weight) > 0):
            raise ValueError("its rows do not fit")
        if len(found.classes_) not in (0, votes.shape[1]):
            raise ValueError("its classes do not fit")
        found.rows_, found.votes_, found.weight_ = rows, votes, weight
        return found

    def _means(self, x: Array) -> Array:
        if not len(self.rows_):
            raise MetatlError("NearestNeighbours: fit comes before predict")
        new = torch.as_tensor(np.asarray(x), dtype=torch.float64)
        far = torch.cdist(new, self.rows_, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = far.sort(dim=1, stable=True).indices
        weight = self.weight_[nearest]
        # Of every row as much as is left of k when its turn comes.
        weight = (self.k - (weight.cumsum(1) - weight)).clamp_min(0.0).minimum(weight)
        share = torch.zeros_like(far).scatter(1, nearest, weight / weight.sum(1, keepdim=True))
        return (share @ self.votes_).numpy()
