"""The source alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains
from metatl.types import Batch


@dataclass(frozen=True)
class AsItIs(Alignment):
    """What is learned on the source, applied to the target as it is: no labelled row of it is looked at."""

    reads: ClassVar[tuple[str, ...]] = ("source",)

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """The source's rows."""
        return domains.source, ()

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """The rows [n, d] themselves."""
        return x
