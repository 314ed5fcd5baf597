"""Pictures that Python holds: arrays of pixels and images of PIL, as examples' inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from metatl.data.examples import Index, Inputs
from metatl.data.images import as_seen
from metatl.types import MetatlError


@dataclass(frozen=True)
class Pictures(Inputs):
    """Images of PIL, and arrays [h, w] (grey) or [h, w, 3 or 4], uint8 or floats from 0 to 1."""

    pictures: Sequence[Any]
    unit: ClassVar[str] = "photo"
    copied: ClassVar[bool] = True

    @property
    def ids(self) -> Sequence[str]:
        """Their places."""
        return [f"picture {place}" for place in range(len(self.pictures))]

    def digest(self, place: int) -> str:
        """Of the pixels, as a person sees them."""
        seen = self.raw(place)
        return hashlib.sha256(repr(seen.size).encode() + seen.tobytes()).hexdigest()

    def raw(self, place: int) -> Image.Image:
        """The picture as a person sees it."""
        one, where = self.pictures[place], f"picture {place}"
        return as_seen(one if isinstance(one, Image.Image) else _image(np.asarray(one), where), where)

    shown = raw

    def take(self, places: Index) -> Pictures:
        """These pictures."""
        return Pictures([self.pictures[int(place)] for place in places])


def _image(pixels: np.ndarray[Any, Any], where: str) -> Image.Image:
    if pixels.dtype.kind == "f" and pixels.size and float(pixels.min()) >= 0 and float(pixels.max()) <= 1:
        pixels = np.rint(255 * pixels).astype(np.uint8)
    flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not flat:
        raise MetatlError(
            f"{where} is {pixels.dtype} of shape {pixels.shape}; give [h, w] or [h, w, 3], uint8 or "
            "floats from 0 to 1"
        )
    return Image.fromarray(pixels)
