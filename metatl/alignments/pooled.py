"""Both domains as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.types import Batch


@dataclass(frozen=True)
class Pooled(Alignment):
    """The source's rows and the target's labelled ones, as if they were of one domain."""

    reads: ClassVar[tuple[str, ...]] = ("source",)
    needs_labels: ClassVar[bool] = True

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Both."""
        return together(domains.source, domains.labelled), ()

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """The rows [n, d] themselves."""
        return x
