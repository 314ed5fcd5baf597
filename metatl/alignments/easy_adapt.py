"""EasyAdapt: columns that both domains share, and columns of either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.types import Batch


@dataclass(frozen=True)
class EasyAdapt(Alignment):
    """A row of the source becomes (x, x, 0), one of the target (x, 0, x).

    Products of rows of one domain are then 2 x'z, of two domains x'z. Source: Daume 2007, ACL
    (arXiv 0907.1815).
    """

    reads: ClassVar[tuple[str, ...]] = ("source",)
    needs_labels: ClassVar[bool] = True

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Both domains [n_s + n_l, 3 d]."""
        x, labelled = domains.source.x, domains.labelled
        source = domains.source._replace(x=torch.cat([x, x, torch.zeros_like(x)], 1))
        return together(source, labelled._replace(x=self.target((), labelled.x))), ()

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """(x, 0, x) of x [n, d]."""
        return torch.cat([x, torch.zeros_like(x), x], 1)
