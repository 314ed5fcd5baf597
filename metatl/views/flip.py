"""Pictures mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from metatl.types import Batch, MetatlError
from metatl.views.view import View, chosen, pictures


@dataclass(frozen=True)
class Flip(View):
    """Each picture mirrored, or not.

    Args:
        probability: that a picture is.
        axis: `horizontal` swaps left and right, `vertical` top and bottom.
    """

    probability: float = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        """Refuse other axes."""
        super().__post_init__()
        if self.axis not in ("horizontal", "vertical"):
            raise MetatlError(f"Flip: axis is {self.axis!r}; it is horizontal or vertical")

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The pictures; targets stay."""
        x = pictures(self, batch.x)
        there = chosen(key, x, self.probability)
        return batch._replace(x=torch.where(there, x.flip(-1 if self.axis == "horizontal" else -2), x))
