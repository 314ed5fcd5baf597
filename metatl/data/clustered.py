"""Clusters in the place of classes: tasks of meta_train without a label."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.examples import Shown
from metatl.data.shapes import Tasks
from metatl.data.source import Data, Kind, Source
from metatl.types import Batch, Episode, Labels, MetatlError, Ragged, Split


@final
@dataclass(frozen=True)
class Clustered(Source):
    """A source whose meta_train has clusters of its rows for classes; the other splits are its own.

    Rows of meta_train are reduced to `dims` principal components and clustered by K-means; no label is read.
    Scouts on pairs of clusters (`way: 2`) are Guided Transfer Learning without labels; published with UMAP in
    the place of principal components. Needs the extra `tables`.

    of: the source. dims: principal components, at most as many as rows and columns. clusters: their number.
    seed: of K-means.
    """

    of: Source
    dims: int = 30
    clusters: int = 30
    seed: int = 0

    def load(self, device: str = "cpu") -> ClusteredData:
        """Load the source, cluster; MetatlError where there are fewer rows than clusters."""
        data = self.of.load(device)
        x = _in_order(data.rows("meta_train"))
        if self.clusters < 2 or len(x) < self.clusters:
            raise MetatlError(
                f"Clustered: clusters is {self.clusters}, and meta_train of {data.name} has {len(x)} rows; "
                f"give 2 to {len(x)}"
            )
        flat = x.flatten(1).cpu().double().numpy()
        label, dims = clusters_of(flat, self.clusters, self.dims, self.seed, "Clustered")
        order = np.argsort(label, kind="stable")
        sizes = np.bincount(label, minlength=self.clusters)
        names = tuple(f"cluster {k + 1}" for k in range(self.clusters))
        bank = Bank.sorted_by_class(x[torch.from_numpy(order).to(x.device)], sizes.tolist(), names)
        facts = {"clusters": sizes.tolist(), "principal components": dims, "seed": self.seed}
        return ClusteredData(data, ClassData(data.name, {"meta_train": bank}), facts)


def clusters_of(
    x: NDArray[np.float64], clusters: int, dims: int, seed: int, who: str
) -> tuple[NDArray[np.int64], int]:
    """The cluster of every row [n, d]: K-means (10 starts) of its principal components; and their number.

    Alike rows are of one cluster, so that some are empty where fewer rows differ. Raises MetatlError, naming
    who asks, without scikit-learn.
    """
    try:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
    except ImportError as error:
        raise MetatlError(f"{who} needs scikit-learn: pip install 'metatl[tables]'") from error
    dims = min(dims, *x.shape)
    means: Any = KMeans(clusters, random_state=seed).set_params(n_init=10)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")  # of rows that are all alike
        return means.fit_predict(PCA(dims, random_state=seed).fit_transform(x)), dims


def _in_order(x: Tensor) -> Tensor:
    """The rows by their content: where they lay would tell something of their labels."""
    keys = [hashlib.sha256(row.tobytes()).digest() for row in x.cpu().numpy()]
    return x[torch.tensor(sorted(range(len(keys)), key=keys.__getitem__), device=x.device)]


@dataclass(frozen=True)
class ClusteredData(Data):
    """The data, and its meta_train by clusters."""

    data: Data
    by_cluster: ClassData
    facts: Mapping[str, Any]
    kind: Kind = "classification"

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of one row."""
        return self.data.shape

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The source's."""
        return self.data.name

    def _of(self, split: Split) -> Data:
        return self.by_cluster if split == "meta_train" else self.data

    def shown(self, x: Tensor) -> Shown:
        """As the source shows it."""
        return self.data.shown(x)

    def outputs(self, tasks: Tasks) -> int:
        """Of the most that a task of any split needs."""
        return max(self.by_cluster.outputs(tasks), self.data.outputs(tasks))

    def numbering(self, tasks: Tasks) -> Labels:
        """Tasks' own: a cluster is no class of the other splits."""
        return "own"

    def class_names(self, split: Split, tasks: Tasks, seed: int, index: int) -> tuple[str, ...] | None:
        """Of the classes, or clusters."""
        return self._of(split).class_names(split, tasks, seed, index)

    def group(self, split: Split, index: int, seed: int = 0, tasks: Tasks | None = None) -> Any:
        """As the source has it; clusters belong to nobody."""
        return self._of(split).group(split, index, seed, tasks)

    def check(self, split: Split, tasks: Tasks) -> None:
        """As the split's own."""
        self._of(split).check(split, tasks)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode | Ragged:
        """As the split's own."""
        return self._of(split).draw(split, tasks, seed, first, count)

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """As the split's own."""
        return self._of(split).batch(split, size, seed, step)

    def classes(self, split: Split) -> int:
        """Clusters of meta_train, classes of the others."""
        return self._of(split).classes(split)

    def rows(self, split: Split) -> Tensor:
        """As the split's own."""
        return self._of(split).rows(split)

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """As the split's own."""
        return self._of(split).fingerprint(split, tasks, seed, count)

    def describe(self) -> dict[str, Any]:
        """The source's facts, and the clusters'."""
        content = hashlib.sha256(repr(self.by_cluster.content).encode()).hexdigest()[:16]
        return {**self.data.describe(), "clustered": {**self.facts, "content": content}}
