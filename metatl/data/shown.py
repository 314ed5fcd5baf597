"""An example as a person sees it, from the tensor that a net is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from torch import Tensor

from metatl.data.examples import Shown

Show = Callable[[Tensor], Shown]
"""How a source turns an example that it has prepared back into a text, or the columns of a row."""


def from_tensor(x: Tensor, pixels: tuple[float, float] | None = None) -> Shown:
    """A picture [1 or 3, h, w], a signal [channels, time], or the values of a row by their places.

    pixels: see `Data.pixels`; without it the smallest value of a picture is black and the largest white.
    What has other axes is told by its shape.
    """
    values = x.detach().cpu().numpy()
    if values.ndim == 3 and values.shape[0] in (1, 3):
        scale, shift = pixels or (max(float(np.ptp(values)), 1e-12) / 255, float(values.min()))
        bytes_ = ((values - shift) / scale).round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(bytes_[0] if len(bytes_) == 1 else bytes_.transpose(1, 2, 0))
    if values.ndim == 2:
        return values.astype(np.float64)
    if values.ndim == 1:
        return [(f"x{place}", f"{value:.4g}") for place, value in enumerate(values.tolist())]
    return [("shape", " x ".join(map(str, values.shape)))]
