"""MNIST: 70,000 handwritten digits (LeCun, Bottou, Bengio, Haffner 1998), to pre-train on or as episodes."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.fetch import Files
from metatl.data.labelled import Array, read_npz
from metatl.data.source import Source, device_of
from metatl.opening import reading
from metatl.types import MetatlError, Split

_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_KEYS = ("x_train", "y_train", "x_test", "y_test")
_SHAPES = ((60000, 28, 28), (60000,), (10000, 28, 28), (10000,))
FILES = Files(
    "mnist",
    (("mnist.npz",), _IDX, tuple(f"{name}.gz" for name in _IDX)),
    ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",),
    "the npz file that Keras distributes, or the four original idx files, gzipped or not",
)
OFFICIAL = "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
"""SHA-256 over the bytes of x_train, y_train, x_test, y_test."""
_ALL, _MOST = tuple(range(10)), 1 << 28


@final
@dataclass(frozen=True)
class Mnist(Source):
    """Digits, 28 x 28 grey, ink 1 on paper 0, as classes "0" .. "9".

    root: the folder of mnist.npz or the idx files; else `$METATL_DATA/mnist`, the cache, a download.
    meta_train: the training images without the last `held_out`, or only the first `images` of them (as even
    over its digits as can be); meta_val: the last `held_out` training images; meta_test: the 10,000 test
    images. Digits are the same in all three unless the `*_digits` say otherwise: episodes of unseen digits
    need disjoint ones.
    """

    root: str | None = None
    images: int | None = None
    held_out: int = 5000
    train_digits: tuple[int, ...] = _ALL
    val_digits: tuple[int, ...] = _ALL
    test_digits: tuple[int, ...] = _ALL

    def load(self, device: str = "cpu") -> ClassData:
        """Read and check the files; MetatlError if one is missing or damaged, or a field out of range."""
        self._check()
        place = device_of(device)
        x_train, y_train, x_test, y_test = arrays(FILES.folder(self.root))
        seen = len(x_train) - self.held_out
        train = _digits(x_train[:seen], y_train[:seen], self.train_digits, self.images)
        val = _digits(x_train[seen:], y_train[seen:], self.val_digits)
        test = _digits(x_test, y_test, self.test_digits)
        facts = {key: value for key, value in asdict(self).items() if key != "root"}
        facts["split"] = "by example" if set(self.train_digits) & set(self.test_digits) else "by digit"
        banks: dict[Split, Bank] = {
            "meta_train": train.to(place),
            "meta_val": val.to(place),
            "meta_test": test.to(place),
        }
        return ClassData("mnist", banks, facts)

    def _check(self) -> None:
        for field in ("train_digits", "val_digits", "test_digits"):
            digits = getattr(self, field)
            if not digits or len(set(digits)) != len(digits) or not set(digits) <= set(_ALL):
                raise MetatlError(f"mnist: {field} is {list(digits)}: give different digits from 0 to 9")
        if not 1000 <= self.held_out <= 30000:
            raise MetatlError(f"mnist: held_out is {self.held_out}: it must be 1000 .. 30000")
        least = len(self.train_digits)
        if self.images is not None and not least <= self.images <= 60000 - self.held_out:
            most = 60000 - self.held_out
            raise MetatlError(
                f"mnist: images is {self.images}: it must be {least} .. {most}, or left out for all"
            )


def _digits(x: Array, y: Array, digits: Sequence[int], images: int | None = None) -> Bank:
    """The bank of these digits, in this order; the first `images` of them, spread evenly, if given."""
    rows = [np.flatnonzero(y == digit) for digit in digits]
    if images is not None:
        share, more = divmod(images, len(digits))
        rows = [own[: share + (place < more)] for place, own in enumerate(rows)]
        if sum(map(len, rows)) < images:
            raise MetatlError(f"mnist: it has no {images} images spread evenly over these digits")
    picked = torch.from_numpy(x[np.concatenate(rows)][:, None])
    return Bank.sorted_by_class(picked, list(map(len, rows)), list(map(str, digits)), 1 / 255)


def arrays(folder: Path) -> list[Array]:
    """x_train, y_train, x_test, y_test from whichever layout lies in the folder; MetatlError if damaged."""
    layout = FILES.layout_in(folder) or FILES.layouts[0]
    if layout == FILES.layouts[0]:
        file = folder / layout[0]
        held = read_npz(file, _KEYS)
        found = [held.get(key, np.empty(0)) for key in _KEYS]
    else:
        file = folder
        found = [read_idx(folder / name) for name in layout]
    for key, array, shape in zip(_KEYS, found, _SHAPES, strict=True):
        if array.shape != shape or array.dtype != np.uint8:
            raise MetatlError(
                f"{file}: {key} is {array.dtype}{list(array.shape)}, not uint8{list(shape)}; get it again"
            )
    return found


def read_idx(path: Path) -> Array:
    """One idx file of bytes, gzipped if its name ends so: 4 bytes of type and rank, sizes, values."""
    try:
        with reading(path) as file:
            data = (gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file).read(_MOST)
        rank = data[3]
        shape = tuple(int(size) for size in np.frombuffer(data, ">u4", rank, 4))
        if data[:3] != b"\x00\x00\x08":
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise MetatlError(f"{path}: is damaged or no idx file ({error}); get it again") from error


def digest(found: Sequence[Array]) -> str:
    """Of the content of the four arrays; equal to OFFICIAL when every pixel is as published."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in found)).hexdigest()
