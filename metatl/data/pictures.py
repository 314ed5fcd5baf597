"""Somebody's pictures as rows of a run's data: through the preparation of the run's own source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from metatl.data.checked import Array, as_array, channels_first
from metatl.data.source import Source
from metatl.types import MetatlError


def as_rows(x: Any, source: Source | None, shape: tuple[int, ...] | None) -> Any:
    """Pictures in another form than the data's as [n, *shape] float32; everything else as it is.

    Pictures are images of PIL, and arrays of pixels [n, h, w] or [n, h, w, channels] (channels first too),
    bytes, 16 bits or floats in 0 .. 1, in a list also of different sizes. Arrays that have the data's shape
    are its rows already. Raises MetatlError for floats outside 0 .. 1, and for what the source refuses.
    """
    if source is None or shape is None or len(shape) != 3 or shape[0] not in (1, 3):
        return x
    images = _images(x, shape)
    if images is None:
        return x
    rows = np.stack([source.picture(image, shape, f"picture {i}") for i, image in enumerate(images)])
    return torch.from_numpy(rows).to(torch.float32).mul_(1 / 255)


def _images(x: Any, shape: tuple[int, ...]) -> list[Image.Image] | None:
    """The pictures one by one; None where x holds none, or has the shape already."""
    if isinstance(x, list | tuple) and _apart(cast(Sequence[Any], x)):
        return [
            one if isinstance(one, Image.Image) else _image(_alone(one)) for one in cast(Sequence[Any], x)
        ]
    rows = as_array(x, "x")
    known = [shape, (*shape[1:], shape[0]), shape[1:] if shape[0] == 1 else shape]
    pixels = None if tuple(rows.shape[1:]) in known else _pixels(rows)
    return None if pixels is None else [_image(one) for one in pixels]


def _apart(items: Sequence[Any]) -> bool:
    """Whether such a list is no array: images of PIL, or arrays of different shapes."""
    if any(isinstance(one, Image.Image) for one in items):
        return True
    return all(hasattr(one, "ndim") for one in items) and len({tuple(one.shape) for one in items}) > 1


def _alone(item: Any) -> Array:
    found = _pixels(as_array(item, "x")[None])
    if found is None:
        raise MetatlError(f"x holds an array of shape {np.shape(item)} among pictures; give pictures alone")
    return found[0]


def _pixels(rows: Array) -> Array | None:
    """Bytes [n, h, w, channels] of arrays that are pictures, None for others."""
    kind, size = rows.dtype.kind, rows.dtype.itemsize
    if rows.ndim not in (3, 4) or not rows.size or not (kind == "f" or (kind == "u" and size <= 2)):
        return None
    rows = rows[:, None] if rows.ndim == 3 else channels_first(rows)
    if rows.shape[1] not in (1, 3, 4):
        return None
    rows = rows.transpose(0, 2, 3, 1)
    if rows.dtype == np.uint8:
        return rows
    values = rows.astype(np.float64) / (65535.0 if kind == "u" else 1.0)
    if not ((values >= 0) & (values <= 1)).all():
        raise MetatlError(
            f"x holds values outside 0 .. 1, so pictures of {rows.shape[1]} x {rows.shape[2]} pixels cannot "
            "be brought to the run's size; give bytes, floats in 0 .. 1, or rows of the run's shape"
        )
    return np.floor(255 * values + 0.5).astype(np.uint8)


def _image(pixels: Array) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
