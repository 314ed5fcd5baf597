"""One domain's rows out of an npz file, or a folder of its authors, whichever of the usual layouts it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metatl.data.checked import Channels, as_labels, stored_inputs
from metatl.data.fetch import placed
from metatl.data.images import resize_area
from metatl.data.labelled import Array, array_names, read_npz
from metatl.data.official import official
from metatl.types import MetatlError

_PARTS = ("train", "test")
Sides = dict[str, tuple[Array, Array]]
"""x and y of the rows to learn from, `train`, and of those that judge, `test`."""


class DomainPart(NamedTuple):
    """Rows x [n, ...] (uint8, int64 or float32), which scale decodes; labels [n] as they were read."""

    x: Array
    y: Array
    scale: float


@dataclass(frozen=True)
class DomainFile:
    """x and y (with `split`, 0 for train and 1 for test), or x_train, y_train, x_test, y_test.

    place: the file, or one below `$METATL_DATA` or the cache; or a folder as SVHN, GTSRB or the synthetic
    sets come in (`official.LAYOUTS`). column: an array [n] beside x and y that names each row's domain, of
    which `domain` is one. Where the file has `scale`, x is multiplied by it. size: side
    of pictures, grey or in three colours (the shortest sides are the channels). test: share of the rows that
    judge where the file does not say. channels: where those of pictures lie, if their shape does not say.
    """

    place: str
    domain: str
    column: str | None = None
    size: int | None = None
    test: float = 0.2
    seed: int = 0
    channels: Channels | None = None

    def read(self) -> dict[str, DomainPart]:
        """The rows to learn from, `train`, and those that judge, `test`; MetatlError for any other file."""
        path = placed(Path(self.place))
        rows, scale = self._parts(path)
        return {part: self._part(x, y, scale, path) for part, (x, y) in rows.items()}

    def _parts(self, path: Path) -> tuple[Sides, Array | None]:
        if path.is_dir():
            return official(path, self.size, self.test, self.seed), None
        listed = {n: n for n in ("x", "y", "split", "scale", self.column or "y")}
        named = {f"{axis}_{part}": (axis, part) for axis in "xy" for part in _PARTS}
        names = [*listed, *named, *(f"{name}_u16" for name in named)]
        held = {name.removesuffix("_u16"): array for name, array in read_npz(path, names).items()}
        if "x" in held and "y" in held:
            rows = self._divided(held, path)
        elif held.keys() >= named.keys():
            rows = {part: (held[f"x_{part}"], held[f"y_{part}"]) for part in _PARTS}
        else:
            raise MetatlError(
                f"{path}: needs x and y, or x_train, y_train, x_test and y_test, and has {array_names(path)}"
            )
        return rows, held.get("scale")

    def _divided(self, held: Mapping[str, Array], path: Path) -> Sides:
        """Rows of this domain, by the file's own division or a share at random."""
        x, y = held["x"], held["y"]
        own = np.arange(len(x))
        if self.column is not None:
            if self.column not in held or len(held[self.column]) != len(x):
                raise MetatlError(
                    f"{path}: needs the array {self.column}, a domain for each row, and has "
                    f"{array_names(path)}"
                )
            own = np.flatnonzero(held[self.column].astype(str) == self.domain)
        if "split" in held:
            into = held["split"][own] != 0
        else:
            into = np.zeros(len(own), bool)
            order = np.random.default_rng(self.seed).permutation(len(own))
            into[order[: round(self.test * len(own))]] = True
        return {
            part: (x[own[into == test]], y[own[into == test]])
            for part, test in zip(_PARTS, (0, 1), strict=True)
        }

    def _part(self, x: Array, y: Array, scale: Array | None, path: Path) -> DomainPart:
        if len(x) != len(y) or not len(x):
            raise MetatlError(f"{path}: domain {self.domain!r} has {len(x)} rows and {len(y)} labels there")
        if scale is None:
            stored, factor = stored_inputs(x, f"{path}: ", self.channels)
        else:
            multiplied = x.astype(np.float32) * scale.astype(np.float32)
            multiplied = multiplied[:, None] if x.ndim == 3 and x.dtype.kind == "u" else multiplied
            stored, factor = stored_inputs(multiplied, f"{path}: ", self.channels)
        return DomainPart(stored if self.size is None else _sized(stored, self.size, path), y, factor)


def _sized(x: Array, size: int, path: Path) -> Array:
    """Pictures with sides of this size: each pixel is the mean over what it covers, of enlarged ones too."""
    if x.ndim != 4:
        raise MetatlError(f"{path}: size is for pictures, and examples have shape {list(x.shape[1:])}")
    if x.shape[2:] == (size, size):
        return x
    if x.dtype == np.uint8:
        return resize_area(x, size)
    mean = torch.nn.functional.interpolate(torch.from_numpy(x).float(), (size, size), mode="area")
    return mean.numpy()


def called(y: Array, where: str) -> list[str]:
    """Labels [n] by name; MetatlError for what are none."""
    places, labels = as_labels(y, f"{where}: ")
    return [str(labels[place]) for place in places.tolist()]


def alike(parts: Sequence[DomainPart], where: str) -> list[Tensor]:
    """Rows [n, *shape] of several domains in one form: grey pictures beside coloured ones get three channels.

    Bytes where all are bytes, float32 otherwise. Raises MetatlError for shapes that differ in anything else.
    """
    colours = {part.x.shape[1] for part in parts if part.x.ndim == 4}
    wide = max(colours) if colours == {1, 3} else None
    rows = [
        part.x if wide is None else np.broadcast_to(part.x, (len(part.x), wide, *part.x.shape[2:]))
        for part in parts
    ]
    shapes = {x.shape[1:] for x in rows}
    if len(shapes) != 1:
        raise MetatlError(
            f"{where}: domains have examples of different shapes, {', '.join(map(str, sorted(shapes)))}; "
            "give pictures a size, or domains the same columns"
        )
    if len({(part.x.dtype, part.scale) for part in parts}) == 1:
        return [torch.from_numpy(np.array(x)) for x in rows]
    return [
        torch.from_numpy(x.astype(np.float32) * np.float32(part.scale))
        for x, part in zip(rows, parts, strict=True)
    ]
