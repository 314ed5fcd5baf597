"""Pictures in other light."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl.data.counter import number
from metatl.types import Batch, MetatlError
from metatl.views.view import View, chosen, draws, pictures

_LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey (ITU-R BT.601)."""


@dataclass(frozen=True)
class Colour(View):
    """Each picture's brightness, contrast and saturation multiplied, in this order, by 1 + s (2 u - 1).

    x <- b x; x <- m + c (x - m), m the mean grey of the picture; x <- g + s (x - g), g its grey, where there
    are three channels. In the units that a net takes, and nothing is clamped.

    Args:
        brightness, contrast, saturation: s, from 0 to 1.
        probability: that a picture is changed.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    probability: float = 1.0

    def __post_init__(self) -> None:
        """Refuse strengths outside 0 .. 1."""
        super().__post_init__()
        for name in ("brightness", "contrast", "saturation"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise MetatlError(f"Colour: {name} is {getattr(self, name)}; give a value from 0 to 1")

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The pictures; targets stay."""
        x = pictures(self, batch.x)
        colours = x.shape[1] == 3
        luma = x.new_tensor(_LUMA).view(1, 3, 1, 1) if colours else None

        def grey(x: torch.Tensor) -> torch.Tensor:
            return x.mean(1, keepdim=True) if luma is None else (luma * x).sum(1, keepdim=True)

        spread = (2.0 * draws(number(key, 1), x, 3, len(x), 1, 1, 1) - 1.0).to(x.dtype)
        seen = x * (1.0 + self.brightness * spread[0])
        middle = grey(seen).mean((-2, -1), keepdim=True)
        seen = middle + (1.0 + self.contrast * spread[1]) * (seen - middle)
        if colours:
            seen = grey(seen) + (1.0 + self.saturation * spread[2]) * (seen - grey(seen))
        return batch._replace(x=torch.where(chosen(key, x, self.probability), seen, x))
