"""Image files to uint8 arrays: read as a person sees them, resized by exact area; folders by class."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from metatl.opening import reading, text_of
from metatl.types import MetatlError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Resize = Literal["area", "nearest", "lanczos"]
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"),
    *(".heic", ".heif"),  # a phone's: photos too, to be named where they cannot be read
)
_LEFT_BEHIND = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
_BITS, _MEANING, _ORIENTATION = 258, 262, 274
"""Numbers of the TIFF (and EXIF) tags for bits of a pixel, for what 0 means, for how the camera was held."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation but 1."""


def as_seen(file: str | Path | bytes | Image.Image, where: str) -> Image.Image:
    """A picture as a person sees it, RGB of 8 bits: upright, on white paper, the first frame of several.

    The orientation that a camera noted (EXIF) is applied; what is transparent shows white; 16 bits become 8
    (v * 255 / 65535, rounded); float pixels mean 0 (black) to 1 (white). MetatlError naming `where` for what
    cannot be read, for float pixels outside 0 .. 1 and for 32-bit integers, whose white nobody knows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd notes in it
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(file, Image.Image):
                return _on_white(file, where)
            held = io.BytesIO(file) if isinstance(file, bytes) else reading(file)
            with held, Image.open(held) as image:
                return _on_white(image, where)
    except MetatlError:
        raise
    except Exception as error:  # its readers raise nearly everything at a damaged one
        raise MetatlError(f"{where}: cannot be read as an image; convert, repair or remove it") from error


def _upright(file: Image.Image, pixels: Image.Image) -> Image.Image:
    """The pixels turned as the file's notes say, if those can be read."""
    try:
        orientation = file.getexif().get(_ORIENTATION, 1)
    except Exception:  # its readers raise nearly everything at a damaged note
        orientation = 1
    return pixels.transpose(_TURNS[orientation]) if orientation in _TURNS else pixels


def _on_white(image: Image.Image, where: str) -> Image.Image:
    """Pixels of any kind as RGB, upright, laid on white where they are transparent."""
    image.load()  # which already turns a TIFF
    if image.mode == "F" or image.mode[:1] == "I":
        return _upright(image, Image.fromarray(_deep(image, where))).convert("RGB")
    image = _upright(image, image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # a colour of 16 bits, of which the pixels kept 8
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    solid = image.convert("LA") if image.mode == "La" else image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, solid.convert("RGBA")).convert("RGB")


def _deep(image: Image.Image, where: str) -> Pixels:
    """Grey pixels of more than 8 bits as [h, w] uint8."""
    values = np.asarray(image).astype(np.float64)
    tags = dict(getattr(image, "tag_v2", None) or {})
    if image.mode == "F":
        if not ((values >= 0) & (values <= 1)).all():
            raise MetatlError(f"{where}: its float pixels are not all in 0 .. 1; save it with 8 or 16 bits")
        white = 1.0
    elif image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise MetatlError(f"{where}: has 32-bit integer pixels; save it with 8 or 16 bits")
    else:
        white = float(2 ** int(tags.get(_BITS, (16,))[0]) - 1)
    scaled = np.floor(255 * values / white + 0.5)
    if tags.get(_MEANING) == 0:  # the file says that 0 is white
        scaled = 255 - scaled
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        scaled[values == clear] = 255
    return scaled.clip(0, 255).astype(np.uint8)


def read_image(file: str | Path | bytes | Image.Image, where: str, grey: bool = True) -> Pixels:
    """An image `as_seen`: [h, w] (grey) or [3, h, w] uint8; MetatlError naming `where` as there."""
    pixels = np.asarray(as_seen(file, where).convert("L" if grey else "RGB"))
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


def resize_area(images: Pixels, size: int | tuple[int, int]) -> Pixels:
    """[..., h, w] to [..., size, size], or to two sides: each pixel is the exact mean over what it covers.

    Weights are whole numbers (overlaps in units of 1 / size of an old pixel) and so are all sums, below 2^53:
    the result has the same bytes on every machine.
    """
    h, w = images.shape[-2:]
    high, wide = (size, size) if isinstance(size, int) else size
    sums = _overlaps(h, high) @ images.astype(np.float64) @ _overlaps(w, wide).T
    return ((2 * sums.astype(np.int64) + h * w) // (2 * h * w)).astype(np.uint8)


def _overlaps(old: int, new: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[new, old]: new pixel i covers i * old .. (i + 1) * old, old pixel j j * new .. (j + 1) * new."""
    starts, pixels = np.arange(new)[:, None] * old, np.arange(old)[None, :] * new
    overlap = np.minimum(starts + old, pixels + new) - np.maximum(starts, pixels)
    return np.maximum(overlap, 0).astype(np.float64)


def class_files(path: Path) -> dict[str, list[Path]]:
    """The image files of every class folder `path/<class>/`, sorted; what is hidden is no part of it.

    Hidden are names that begin with a dot, and the folders that computers leave (`__MACOSX`, `@eaDir`).
    MetatlError for a folder that is not there, or holds no folders.
    """
    if not path.is_dir():
        raise MetatlError(f"{path}: no such folder; it should hold one folder of images for each class")
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not hidden(folder))
    if not folders:
        raise MetatlError(f"{path}: holds no folders; put the images of each class into a folder of its own")
    return {text_of(folder.name): _image_files(folder) for folder in folders}


def _image_files(folder: Path) -> list[Path]:
    shown = (file for file in folder.iterdir() if not hidden(file) and file.suffix.lower() in SUFFIXES)
    return sorted(file for file in shown if not file.is_dir())


def hidden(path: Path) -> bool:
    """Whether a file or folder is none that a person put there to be seen."""
    return path.name[0] == "." or path.name in _LEFT_BEHIND


def folder_arrays(
    path: Path, size: int, grey: bool, smallest: int = 0
) -> tuple[Pixels, list[int], list[str]]:
    """Images of `path/<class>/`, sorted: x [n, 1 or 3, size, size], the number in each class, class names.

    Classes with fewer than `smallest` images are left out. MetatlError as `class_files` and `as_seen`, for an
    empty class that is not left out, and where all are.
    """
    classes = {name: files for name, files in class_files(path).items() if len(files) >= smallest}
    if not classes:
        raise MetatlError(f"{path}: no class has {smallest} images; lower smallest")
    for name, files in classes.items():
        if not files:
            raise MetatlError(
                f"{path / name}: class {name!r} is empty (no {', '.join(SUFFIXES[:4])} ... files)"
            )
    x = [resize_area(read_image(file, str(file), grey), size) for files in classes.values() for file in files]
    stacked = np.stack(x)
    sizes = [len(files) for files in classes.values()]
    return (stacked[:, None] if grey else stacked), sizes, list(classes)
