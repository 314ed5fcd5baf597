"""DAMA as an alignment: unlike inputs, labelled on both sides, mapped to one space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.alignments.by_labels import by_labels
from metatl.types import Batch, MetatlError

MOST = 1000
"""Rows of the source that the maps are made from: the equations are of pairs of rows."""


@dataclass(frozen=True)
class ManifoldAlignment(Alignment):
    """Linear maps of either domain to one space where rows of a class lie together (`by_labels`).

    Then both are scaled to a variance of 1 per direction over the rows that the maps were made from. Source:
    Wang & Mahadevan 2011, IJCAI.

    Args:
        dimensions: of the space, or as many as both domains have columns.
        mu: of neighbours inside a domain, beside 1 for rows of a class.
        ridge: share of the mean diagonal of what keeps rows of a class together that is added to it.
    """

    dimensions: int = 5
    mu: float = 1.0
    ridge: float = 1e-1
    reads: ClassVar[tuple[str, ...]] = ("source",)
    needs_labels: ClassVar[bool] = True
    unlike: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a space without dimensions, and negative weights."""
        if self.dimensions < 1 or min(self.mu, self.ridge) < 0:
            raise MetatlError("ManifoldAlignment: dimensions from 1 on, mu and ridge from 0 on")

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Both domains' labelled rows in the space; the target's mean and map."""
        source, labelled = domains.source, domains.labelled
        if source.y.is_floating_point():
            raise MetatlError("ManifoldAlignment brings classes together, and these are other targets")
        some = torch.linspace(0, len(source.x) - 1, min(len(source.x), MOST)).long()
        k = min(self.dimensions, source.x.shape[1] + labelled.x.shape[1])
        made = by_labels(source.x[some], source.y[some], labelled.x, labelled.y, k, self.mu, ridge=self.ridge)
        f, g = made.of_source(source.x), made.of_target(labelled.x)
        scale = torch.cat([f[some], g]).std(0, correction=0).clamp_min(1e-12)
        fitted = {"mean": made.means[1], "map": made.target / scale}
        x = source._replace(x=(f / scale).float()), labelled._replace(x=(g / scale).float())
        return together(*x), fitted

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """Rows [n, k]."""
        return ((x.double() - fitted["mean"]) @ fitted["map"]).to(x.dtype)
