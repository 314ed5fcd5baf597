"""How a picture becomes a row of numbers: as the net that reads it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metatl.data.images import resize_area
from metatl.types import MetatlError

AREA = "area"
"""As metatl's own data: the whole picture squeezed to a square, every pixel the mean over its area."""
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos", AREA)
LARGEST, _LEAST_CROP, _MOST_PIXELS = 4096, 0.1, 1 << 27
"""Pixels of a prepared picture's side; share that is kept; pixels of a picture before it is cropped."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_GREY = (0.449, 0.226)
"""Mean and standard deviation of one channel: the means over the three."""


@dataclass(frozen=True)
class Preparation:
    """Shorter side to size / crop, the central square of `size`, values in 0..1, then (x - mean) / std.

    The same numbers as timm's and torchvision's evaluation transforms, on Pillow alone; with `area` those of
    `metatl.data.images.resize_area`, which keeps all of the picture and no sides' ratio. All plain values:
    `Preparation(**dataclasses.asdict(p)) == p`, also through JSON.

    Args:
        size: pixels of a side.
        mean: of every channel, in units of 0..1.
        std: of every channel, in units of 0..1; below 0 where light and dark change places.
        interpolation: one of nearest, box, bilinear, hamming, bicubic, lanczos, area.
        crop: share of the shorter side that is kept, 0 < crop <= 1.
        channels: 3 for colour, 1 for grey.
        channels_last: whether batches lie in memory with the channels innermost, which changes speed alone.

    Raises MetatlError for values that mean nothing.
    """

    unit: ClassVar[str] = "photo"

    size: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bicubic"
    crop: float = 1.0
    channels: int = 3
    channels_last: bool = False

    def __post_init__(self) -> None:
        """Lists (from JSON) become tuples; values that mean nothing are refused."""
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        if not 1 <= self.size <= LARGEST or not _LEAST_CROP <= self.crop <= 1:
            raise MetatlError(
                f"preparation: size is 1 to {LARGEST}, crop {_LEAST_CROP} to 1; "
                f"they are {self.size}, {self.crop}"
            )
        if self.channels not in (1, 3) or {len(self.mean), len(self.std)} != {self.channels}:
            raise MetatlError(
                f"preparation: channels is 3 (colour) or 1 (grey), mean and std have a value for each; they "
                f"are {self.channels}, {self.mean}, {self.std}"
            )
        if self.interpolation not in INTERPOLATIONS or not all(abs(v) > 0 for v in self.std):
            raise MetatlError(
                f"preparation: interpolation is one of {', '.join(INTERPOLATIONS)}, std is not 0; they are "
                f"{self.interpolation!r}, {self.std}"
            )

    def __call__(self, image: Image.Image) -> Tensor:
        """The picture as [channels, size, size], float32."""
        whole = _solid(image).convert("RGB" if self.channels == 3 else "L")
        square = _squeezed(whole, self.size) if self.interpolation == AREA else self._square(whole)
        pixels = torch.from_numpy(np.array(square, dtype=np.uint8)).reshape(self.size, self.size, -1)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return pixels.permute(2, 0, 1).to(torch.float32).div(255).sub(mean).div(std).contiguous()

    def stacked(self, rows: Sequence[Tensor]) -> Tensor:
        """Prepared pictures as a batch [n, channels, size, size]."""
        batch = torch.stack(list(rows)) if rows else torch.zeros(0, *self.example().shape[1:])
        return batch.contiguous(memory_format=torch.channels_last) if self.channels_last else batch

    def example(self) -> Tensor:
        """A prepared picture of nothing, [1, channels, size, size]: a pass over it tells layers by use."""
        return torch.zeros(1, self.channels, self.size, self.size)

    def notes(self, rows: object) -> tuple[str, ...]:
        """What is worth saying of these rows: nothing."""
        return ()

    def values(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values, and no tensors, from which `of` makes it again."""
        found = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        return found, {}

    @staticmethod
    def of(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Preparation:
        """The inverse of `values`."""
        return Preparation(**values)

    @property
    def told(self) -> str:
        """What a net is given, in a few words for tables."""
        return f"at {self.size} px"

    def resized(self, size: int) -> Preparation:
        """The same preparation for pictures of another size."""
        return replace(self, size=size)

    def _square(self, image: Image.Image) -> Image.Image:
        shorter = max(self.size, math.floor(self.size / self.crop))
        width, height = image.size
        if width <= height:
            sides = shorter, int(shorter * height / width)
        else:
            sides = int(shorter * width / height), shorter
        if sides[0] * sides[1] > _MOST_PIXELS:
            raise MetatlError(f"a picture of {width} x {height} pixels is too narrow to be cropped; cut it")
        if sides != image.size:
            image = image.resize(sides, Image.Resampling[self.interpolation.upper()])
        left, top = (round((side - self.size) / 2.0) for side in sides)
        return image.crop((left, top, left + self.size, top + self.size))


def _squeezed(image: Image.Image, size: int) -> Image.Image:
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return Image.fromarray(resize_area(pixels, size))
    return Image.fromarray(resize_area(pixels.transpose(2, 0, 1), size).transpose(1, 2, 0).copy())


def _solid(image: Image.Image) -> Image.Image:
    """On white where it is transparent."""
    if not image.has_transparency_data:
        return image
    over = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
