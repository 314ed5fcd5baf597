"""Transfer component analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.density_ratio.ratio import gaussian, median_distance
from metatl.types import Batch

MOST = 2000
"""Rows of either domain that the components are found on, at most, spread evenly."""


@dataclass(frozen=True)
class TransferComponents(Alignment):
    """Components of a kernel that keep the variance and bring the domains' means together.

    The leading v of KHK v = value (KLK + mu I) v, over all rows of both domains; L = ee' with e = 1 / n_s
    for the source and -1 / n_t for the target, H centres. A row becomes k(x, rows) V. mu stands beside
    KLK, as it is V'V that is held small. Source: Pan et al. 2011, IEEE Trans. Neural Networks 22.

    Args:
        dimensions: components.
        mu: held against large V.
        width: of the Gaussian kernel; the median distance for None, 0 for the linear kernel.
    """

    dimensions: int = 20
    mu: float = 1.0
    width: float | None = None

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Rows [n, dimensions]; and the rows, the width and V that further rows need."""
        import scipy.linalg  # takes a while

        source, target = _some(domains.source.x), _some(domains.unlabelled)
        rows = torch.cat([source, target]).double()
        width = median_distance(rows) if self.width is None else self.width
        kernel, count = _kernel(rows, rows, width), len(rows)
        e = torch.cat(
            [
                kernel.new_full((len(source),), 1 / len(source)),
                kernel.new_full((len(target),), -1 / len(target)),
            ]
        )
        centred = kernel - kernel.mean(0)
        apart = torch.outer(kernel @ e, kernel @ e) + self.mu * torch.eye(count, dtype=kernel.dtype)
        most = min(self.dimensions, count)
        _, found = scipy.linalg.eigh(
            (kernel @ centred).numpy(), apart.numpy(), subset_by_index=[count - most, count - 1]
        )
        vectors = torch.from_numpy(found[:, ::-1].copy())
        fitted = (rows, torch.tensor(width, dtype=torch.float64), vectors)
        at = [part._replace(x=self.target(fitted, part.x)) for part in (domains.source, domains.labelled)]
        return together(*at), fitted

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """k(x, rows) V [n, k] of x [n, d]."""
        rows, width, vectors = fitted
        return (_kernel(x.double(), rows, float(width)) @ vectors).to(x.dtype)


def _kernel(x: Tensor, rows: Tensor, width: float) -> Tensor:
    return gaussian(x, rows, width) if width > 0 else x @ rows.T


def _some(x: Tensor) -> Tensor:
    return x if len(x) <= MOST else x[torch.linspace(0, len(x) - 1, MOST).long()]
