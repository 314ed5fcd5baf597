"""Subspace alignment: principal components of the source turned into the target's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.types import Batch


@dataclass(frozen=True)
class SubspaceAlignment(Alignment):
    """Rows of the source become (x - m_S) P_S P_S'P_T, of the target (x - m_T) P_T.

    P: the first principal components of either domain. Source: Fernando et al. 2013, ICCV (arXiv 1409.5241).

    Args:
        dimensions: components, as far as rows and columns allow.
    """

    dimensions: int = 20

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Rows [n, dimensions], and mean and components of the target."""
        most = min(self.dimensions, *domains.source.x.shape, *domains.unlabelled.shape)
        (m_s, p_s), (m_t, p_t) = (_components(x, most) for x in (domains.source.x, domains.unlabelled))
        source = domains.source._replace(x=(domains.source.x - m_s) @ p_s @ (p_s.T @ p_t))
        fitted = (m_t, p_t)
        labelled = domains.labelled._replace(x=self.target(fitted, domains.labelled.x))
        return together(source, labelled), fitted

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """(x - m_T) P_T [n, k] of x [n, d]."""
        mean, components = fitted
        return (x - mean) @ components


def _components(x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Mean [d] and the first components [d, most]."""
    mean = x.double().mean(0)
    _, _, vectors = torch.linalg.svd(x.double() - mean, full_matrices=False)
    return mean.to(x.dtype), vectors[:most].T.contiguous().to(x.dtype)
