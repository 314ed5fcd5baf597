"""A source without labels: clusters of its rows stand in the place of classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from metatl.data.clustered import clusters_of
from metatl.data.examples import Examples
from metatl.data.targets import Targets
from metatl.transferring.backbone import Backbone
from metatl.transferring.problem import digests_of, seen_by
from metatl.types import MetatlError

DIMS, LEAST, MOST, ROWS_EACH = 30, 5, 30, 50
"""Principal components; clusters at least and at most, and rows of each on average (published: 30 of 400,000
rows); fewer where a cluster would have fewer than 4 rows."""
SMALL = 4
"""Clusters that have not a part of so many of the mean of rows are left out."""


def check_clusters(source: Examples | None, clusters: int | None) -> None:
    """Raise MetatlError for a number of clusters where there are none."""
    if clusters is None:
        return
    if source is None or source.targets.known:
        what = "there is no source" if source is None else "the source has labels"
        raise MetatlError(f"source-clusters is {clusters}, and {what}; leave it out")
    if not 2 <= clusters <= len(source.inputs):
        rows = len(source.inputs)
        raise MetatlError(f"source-clusters is {clusters}, and the source has {rows} rows; give 2 to {rows}")


def with_clusters(
    source: Examples, net: Backbone, clusters: int | None, seed: int
) -> tuple[Examples, list[str]]:
    """The source with clusters in the place of labels that it lacks, and a note.

    K-means of the first 30 principal components of the features that the net's frozen body gives, in their
    own scale: what hardly varies stays small. clusters: their number; None for one for 50 rows, 5 at least
    and 30 at most. Clusters of fewer than a quarter of the mean of rows are left out. Raises MetatlError
    where fewer than two are left. Source: Li et al. 2023, arXiv 2311.12045.
    """
    kept, x = seen_by(net, source.inputs, digests_of(source.inputs)[0])
    rows, unit = len(kept), source.inputs.unit
    usual = max(2, min(rows // 4, max(LEAST, min(MOST, rows // ROWS_EACH))))
    many = usual if clusters is None else clusters
    if rows < many:
        raise MetatlError(f"source: {rows} {unit}s without labels, of which {many} clusters cannot be made")
    label, dims = clusters_of(x.double().numpy(), many, DIMS, seed, "a source without labels")
    sizes = np.bincount(label, minlength=many)
    large = np.flatnonzero(sizes >= max(2, rows / many / SMALL))
    if len(large) < 2:
        raise MetatlError(
            f"source: of its {rows} {unit}s {sizes.max()} are of one cluster and the others of small ones, "
            f"so that no two can be told apart; give labels, or another --source-clusters"
        )
    stay = np.isin(label, large)
    some = source.take(kept[stay])
    names = tuple(f"cluster {i + 1}" for i in range(len(large)))
    values = torch.from_numpy(np.searchsorted(large, label[stay]))
    made = replace(some, targets=Targets("classes", names, values, clusters=True))
    left = f"; {rows - int(stay.sum())} {unit}s in smaller ones are left out"
    said = f"clusters of its {unit}s ({dims} principal components of features, K-means) stand for classes"
    return made, [f"The source has no labels: {len(large)} {said}{'' if stay.all() else left}."]
