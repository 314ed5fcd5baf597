"""Domains as their authors give them out: SVHN, Syn Digits, GTSRB and Syn Signs."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.images import as_seen, resize_area
from metatl.opening import reading
from metatl.types import MetatlError

Array = np.ndarray[Any, Any]
Sides = dict[str, tuple[Array, Array]]
LAYOUTS = (
    "train_32x32.mat and test_32x32.mat (SVHN, cropped; of Syn Digits synth_train_32x32.mat), or "
    "Final_Training/Images with Final_Test/Images (GTSRB), or train_labelling.txt (Syn Signs)"
)
_MAT = {"train": "*train_32x32.mat", "test": "*test_32x32.mat"}
_BOX = ("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")


def official(folder: Path, size: int | None, test: float, seed: int) -> Sides:
    """x uint8 [n, 3, h, w] and y of both parts of a folder in one of `LAYOUTS`; MetatlError for any other.

    size: side of pictures that differ in it. test, seed: share of the rows that judge, at random, where the
    authors give no such part (Syn Signs).
    """
    mats = {part: sorted(folder.glob(name)) for part, name in _MAT.items()}
    if all(mats.values()):
        return {part: _mat(files[0]) for part, files in mats.items()}
    if (folder / "Final_Training" / "Images").is_dir():
        return {
            "train": _signs(sorted((folder / "Final_Training" / "Images").glob("*/GT-*.csv")), folder, size),
            "test": _signs(_tables_of_test(folder), folder, size),
        }
    if (folder / "train_labelling.txt").is_file():
        x, y = _listed(folder / "train_labelling.txt", size)
        order = np.random.default_rng(seed).permutation(len(x))
        cut = round(test * len(x))
        ends = {"train": np.sort(order[cut:]), "test": np.sort(order[:cut])}
        return {part: (x[rows], y[rows]) for part, rows in ends.items()}
    raise MetatlError(f"{folder}: holds no domain; there must be {LAYOUTS}")


def _mat(file: Path) -> tuple[Array, Array]:
    """X [32, 32, 3, n] as [n, 3, 32, 32], and y [n, 1], in which 10 is the digit 0."""
    from scipy.io import loadmat  # takes a while to import
    from scipy.io.matlab import MatReadError

    try:
        with reading(file) as stream:
            held = loadmat(stream, variable_names=("X", "y"))
    except (MatReadError, NotImplementedError, ValueError, TypeError, EOFError, OSError, zlib.error) as error:
        raise MetatlError(f"{file}: is damaged or no MATLAB file of version 5; get it again") from error
    x, y = held.get("X"), held.get("y")
    if x is None or y is None or x.ndim != 4 or x.dtype != np.uint8 or y.size != x.shape[3]:
        raise MetatlError(f"{file}: needs X [h, w, channels, n] of bytes and y [n, 1], as SVHN has them")
    labels = y.reshape(-1).astype(np.int64)
    return np.ascontiguousarray(x.transpose(3, 2, 0, 1)), np.where(labels == 10, 0, labels)


def _tables_of_test(folder: Path) -> list[Path]:
    """GT-final_test.csv, which is an archive of its own: beside the images, or above them."""
    tables = [*folder.glob("Final_Test/**/GT-final_test.csv"), *folder.glob("GT-final_test.csv")]
    if not tables:
        raise MetatlError(f"{folder}: GT-final_test.csv, which has the classes of Final_Test, is not there")
    return tables[:1]


def _signs(tables: list[Path], folder: Path, size: int | None) -> tuple[Array, Array]:
    """The pictures that tables with ; name, cut to their box of a sign, and their ClassId."""
    x, y = list[Array](), list[int]()
    for table in tables:
        near = table.parent if table.name != "GT-final_test.csv" else folder / "Final_Test" / "Images"
        for line in _rows(table):
            try:
                box, label = [int(line[name]) for name in _BOX], int(line["ClassId"])
                file = near / line["Filename"]
            except (KeyError, TypeError, ValueError) as error:
                said = f"needs Filename, {', '.join(_BOX)} and ClassId in every line, with ; between them"
                raise MetatlError(f"{table}: {said}") from error
            pixels = _pixels(file)[:, box[1] : box[3] + 1, box[0] : box[2] + 1]
            if not pixels.size:
                raise MetatlError(f"{table}: the box of {file.name} is empty")
            x.append(_sized(pixels, size, table))
            y.append(label)
    return _stacked(x, folder), np.array(y, np.int64)


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with reading(table) as held, io.TextIOWrapper(held, encoding="utf-8", errors="replace") as stream:
        yield from csv.DictReader(stream, delimiter=";")


def _listed(listing: Path, size: int | None) -> tuple[Array, Array]:
    """The pictures that lines of a file, a class and a number name."""
    x, y = list[Array](), list[int]()
    with reading(listing) as held:
        lines = held.read().decode("utf-8", "replace").splitlines()
    for line in filter(str.strip, lines):
        words = line.split()
        if len(words) < 2 or not words[1].isdecimal():
            raise MetatlError(f"{listing}: {line[:60]!r} is no file with its class (train/1.png 21 0)")
        x.append(_sized(_pixels(listing.parent / words[0]), size, listing))
        y.append(int(words[1]))
    return _stacked(x, listing), np.array(y, np.int64)


def _pixels(file: Path) -> Array:
    if not file.is_file():
        raise MetatlError(f"{file}: no such file")
    return np.asarray(as_seen(file, str(file))).transpose(2, 0, 1)


def _sized(pixels: Array, size: int | None, where: Path) -> Array:
    if size is None:
        raise MetatlError(f"{where}: its pictures differ in their sides; give the domains a size")
    return resize_area(np.ascontiguousarray(pixels), size)


def _stacked(x: list[Array], where: Path) -> Array:
    if not x:
        raise MetatlError(f"{where}: names no picture; unpack the archive as it is")
    return np.stack(x)
