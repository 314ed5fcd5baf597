"""Rows of the source, weighted as the target would have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.density_ratio import DensityRatio, DomainClassifier, effective_size
from metatl.types import Batch


@dataclass(frozen=True)
class Reweighted(Alignment):
    """Weights w(x) = p_T(x) / p_S(x) for the source's rows, of mean 1; labelled rows have weight 1.

    Source: Shimodaira 2000, J. Stat. Plan. Inference 90; Sugiyama et al. 2007, JMLR 8 (validation by weight).

    Args:
        ratio: how the density ratio is estimated.
        flatness: exponent of the weights, 0 (none) to 1.
    """

    ratio: DensityRatio = DomainClassifier()
    flatness: float = 1.0

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """The source with weights, then labelled rows."""
        return together(domains.source._replace(weight=self._weights(domains)), domains.labelled), ()

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """The rows [n, d] themselves."""
        return x

    def told(self, domains: TwoDomains) -> str:
        """How much the weights leave of the source."""
        weight = self._weights(domains)
        size, largest = effective_size(weight), float(weight.max())
        return (
            f"weights of {len(weight)} source rows: effective sample size {size:.0f}, largest {largest:.3g}"
        )

    def _weights(self, domains: TwoDomains) -> Tensor:
        found = self.ratio.weights(domains.source.x, domains.unlabelled) ** self.flatness
        return found / found.mean()
