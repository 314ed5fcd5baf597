"""CORAL: the source's covariance made the target's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.types import Batch, MetatlError


@dataclass(frozen=True)
class CORAL(Alignment):
    """x <- (x - m_S) (C_S + r I)^-1/2 (C_T + r I)^1/2 + m_T for rows of the source; rows of the target stay.

    Source: Sun, Feng & Saenko 2016, arXiv 1511.05547, which standardises either domain first: so do we as
    far as means go, so that a shift of the mean alone is undone too.

    Args:
        regularisation: r, in units of the columns; 0 only where both covariances have full rank.
        mean: whether the source takes the target's mean too; the closed form of the paper alone does not.
    """

    regularisation: float = 1.0
    mean: bool = True

    def __post_init__(self) -> None:
        """Refuse a negative regularisation."""
        if self.regularisation < 0:
            raise MetatlError(f"CORAL: regularisation is {self.regularisation}; give 0 or more")

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """The recoloured source, then labelled rows."""
        x = self.recoloured(domains.source.x, domains.unlabelled)
        return together(domains.source._replace(x=x), domains.labelled), ()

    def recoloured(self, source: Tensor, target: Tensor) -> Tensor:
        """[n_s, d]: the source's rows with the target's second moments about the mean."""
        s, t = source.double(), target.double()
        white, colour = _power(self._covariance(s), -0.5), _power(self._covariance(t), 0.5)
        moved = (s - s.mean(0)) @ white @ colour + (t.mean(0) if self.mean else s.mean(0))
        return moved.to(source.dtype)

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """The rows [n, d] themselves."""
        return x

    def told(self, domains: TwoDomains) -> str:
        """Whether there are more columns than rows."""
        rows, columns = min(len(domains.source.x), len(domains.unlabelled)), domains.unlabelled.shape[1]
        if rows > columns:
            return ""
        return f"a covariance of {columns} columns from {rows} rows, shrunk by {self.regularisation:g} I"

    def _covariance(self, x: Tensor) -> Tensor:
        """[d, d]; of one row 0."""
        inside = x - x.mean(0)
        found = inside.T @ inside / max(len(x) - 1, 1)
        return found + self.regularisation * torch.eye(x.shape[1], dtype=x.dtype)


def _power(covariance: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric matrix. Raises MetatlError for a negative one of a singular matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    least = values[-1] * len(values) * torch.finfo(values.dtype).eps
    if exponent < 0 and bool(values[0] <= least):
        raise MetatlError(
            "CORAL: the source's covariance has no full rank; give more rows than columns, or a "
            "regularisation above 0"
        )
    return vectors @ torch.diag(values.clamp_min(0).pow(exponent)) @ vectors.T
