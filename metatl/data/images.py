"""Image files to uint8 arrays: reading, exact area resizing, folders of images by class."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from metatl.types import MetatlError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Resize = Literal["area", "nearest", "lanczos"]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


def read_image(file: str | Path | bytes, where: str, grey: bool = True) -> Pixels:
    """An image as [h, w] (grey) or [3, h, w] uint8; MetatlError naming `where` if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd notes in it
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
                pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except Exception as error:  # its readers raise nearly everything at a damaged one
        raise MetatlError(f"{where}: cannot be read as an image; remove or repair it") from error
    return pixels if grey else pixels.transpose(2, 0, 1)


def resize(images: Pixels, size: int, how: Resize) -> Pixels:
    """[n, h, w] to [n, size, size]; "nearest" takes the pixel under the middle of the new one."""
    if how == "area":
        return resize_area(images, size)
    if how == "nearest":
        rows, columns = (((2 * np.arange(size) + 1) * old) // (2 * size) for old in images.shape[-2:])
        return images[:, rows[:, None], columns]
    lanczos = [Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS) for image in images]
    return np.stack([np.asarray(image) for image in lanczos])


def resize_area(images: Pixels, size: int) -> Pixels:
    """[..., h, w] to [..., size, size]: every new pixel is the exact mean over the area that it covers.

    Weights are whole numbers (overlaps in units of 1 / size of an old pixel) and so are all sums, below 2^53:
    the result has the same bytes on every machine.
    """
    h, w = images.shape[-2:]
    sums = _overlaps(h, size) @ images.astype(np.float64) @ _overlaps(w, size).T
    return ((2 * sums.astype(np.int64) + h * w) // (2 * h * w)).astype(np.uint8)


def _overlaps(old: int, new: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[new, old]: new pixel i covers i * old .. (i + 1) * old, old pixel j j * new .. (j + 1) * new."""
    starts, pixels = np.arange(new)[:, None] * old, np.arange(old)[None, :] * new
    overlap = np.minimum(starts + old, pixels + new) - np.maximum(starts, pixels)
    return np.maximum(overlap, 0).astype(np.float64)


def folder_arrays(path: Path, size: int, grey: bool) -> tuple[Pixels, list[int], list[str]]:
    """Images of `path/<class>/`, sorted: x [n, 1 or 3, size, size], the number in each class, class names."""
    if not path.is_dir():
        raise MetatlError(f"{path}: no such folder; it should hold one folder of images for each class")
    x: list[Pixels] = []
    sizes: list[int] = []
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and folder.name[0] != ".")
    if not folders:
        raise MetatlError(f"{path}: holds no folders; put the images of each class into a folder of its own")
    for folder in folders:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise MetatlError(
                f"{folder}: class {folder.name!r} is empty (no {', '.join(SUFFIXES[:4])} ... files)"
            )
        x += [resize_area(read_image(file, str(file), grey), size) for file in files]
        sizes.append(len(files))
    stacked = np.stack(x)
    return (stacked[:, None] if grey else stacked), sizes, [folder.name for folder in folders]
