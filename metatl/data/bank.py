"""Examples on the device, sorted by class: episodes are gathered from it; own arrays become one in a line."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metatl.data.checked import Channels
from metatl.data.images import folder_arrays
from metatl.data.labelled import labelled_arrays, npz_arrays


@dataclass(frozen=True)
class Bank:
    """Examples sorted by class; bytes and floats are decoded as `x * scale + shift`, float32.

    x: [turns * n, *shape] uint8, float32 or int64 (token ids, counts: handed out as they are): `turns` blocks
    of the same n examples, block k turned by k * 90 degrees. offsets, counts: [classes] int64, each class's
    first row and number of rows; sizes: the counts as plain ints.
    """

    x: Tensor = field(repr=False)
    offsets: Tensor = field(repr=False)
    counts: Tensor = field(repr=False)
    sizes: tuple[int, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    scale: float = 1.0
    shift: float = 0.0
    turns: int = 1

    @staticmethod
    def from_arrays(
        x: Any,
        y: Any,
        names: Sequence[str] | None = None,
        where: str = "x, y",
        channels: Channels | None = None,
    ) -> Bank:
        """Your own arrays: x [n, ...], y [n] (integers or strings; `names[i]` is then the name of label i).

        What values mean, and where channels lie, is said in `metatl.data.checked`: pictures of 8 or 16 bits
        become [n, channels, h, w] with values in 0 .. 1, other integers stay int64, floats are float32.
        MetatlError for lengths that differ, values that are no numbers, an empty class.
        """
        decoded, sizes, called, scale = labelled_arrays(x, y, names, where, channels)
        return Bank.sorted_by_class(torch.from_numpy(decoded), sizes, called, scale)

    @staticmethod
    def sorted_by_class(x: Tensor, sizes: Sequence[int], names: Sequence[str], scale: float = 1.0) -> Bank:
        """A bank from rows that already lie class by class, `sizes[c]` rows of class c."""
        counts = torch.tensor(sizes, dtype=torch.int64, device=x.device)
        return Bank(x, counts.cumsum(0) - counts, counts, tuple(map(int, sizes)), tuple(names), scale)

    @staticmethod
    def from_npz(path: str | Path, channels: Channels | None = None) -> Bank:
        """An npz file with `x` and `y`, and `names` if labels have names; MetatlError if it is not that."""
        x, y, names = npz_arrays(Path(path))
        return Bank.from_arrays(x, y, names, str(path), channels)

    @staticmethod
    def from_folder(path: str | Path, size: int = 28, grey: bool = True, smallest: int = 0) -> Bank:
        """A folder of images by class (`path/<class>/<image>`), resized; MetatlError if one is unreadable.

        Hidden files and folders are no part of it; classes with fewer than `smallest` images are left out.
        """
        x, sizes, names = folder_arrays(Path(path), size, grey, smallest)
        return Bank.sorted_by_class(torch.from_numpy(x), sizes, names, 1 / 255)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.x.shape[1:])

    @cached_property
    def pixels(self) -> tuple[float, float] | None:
        """(scale, shift) of a picture's byte, as `Data.pixels`; floats from 0 to 1 are bytes / 255."""
        shape = self.shape
        if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2]:
            return None
        if self.x.dtype == torch.uint8:
            return self.scale, self.shift
        inside = self.x.dtype == torch.float32 and bool(((self.x >= 0) & (self.x <= 1)).all())
        return (self.scale / 255, self.shift) if inside else None

    @cached_property
    def smallest(self) -> tuple[str, int]:
        """The class with the fewest examples and how many it has."""
        place = min(range(self.classes), key=self.sizes.__getitem__)
        return self.names[place], self.sizes[place]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (16 hex digits) of the examples, the class sizes and the class names."""
        digest = hashlib.sha256(repr((self.x.dtype, self.shape, self.sizes, self.names, self.turns)).encode())
        digest.update(repr((self.scale, self.shift)).encode())
        digest.update(self.x.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def all(self) -> Tensor:
        """Every example [n, *shape], class by class, decoded."""
        return self.gather(torch.arange(sum(self.sizes), device=self.x.device))

    def gather(self, rows: Tensor) -> Tensor:
        """The examples of `rows` (any shape), decoded: [*rows.shape, *shape] float32 or int64."""
        picked = self.x.index_select(0, rows.reshape(-1))
        if self.x.dtype != torch.int64:
            picked = picked.to(torch.float32)
        if self.scale != 1.0:
            picked.mul_(self.scale)
        if self.shift != 0.0:
            picked.add_(self.shift)
        return picked.view(*rows.shape, *self.shape)

    def pick(self, classes: Sequence[int]) -> Bank:
        """The bank of these classes only, in this order."""
        rows = torch.cat([torch.arange(self.sizes[c]) + int(self.offsets[c]) for c in classes])
        part = Bank.sorted_by_class(
            self.x[rows.to(self.x.device)], [self.sizes[c] for c in classes], [self.names[c] for c in classes]
        )
        return replace(part, scale=self.scale, shift=self.shift)

    def turned(self) -> Bank:
        """The same bank with every image also turned by 90, 180 and 270 degrees (four times the memory)."""
        return replace(self, x=torch.cat([torch.rot90(self.x, k, (-2, -1)) for k in range(4)]), turns=4)

    def turned_classes(self) -> Bank:
        """Turned images as classes of their own, four times as many: c turned by k is k * classes + c."""
        names = [f"{name}/rot{90 * k:03d}" for k in range(4) for name in self.names]
        return replace(
            Bank.sorted_by_class(self.turned().x, self.sizes * 4, names, self.scale), shift=self.shift
        )

    def to(self, device: torch.device | str) -> Bank:
        """The same bank on `device`."""
        return replace(
            self, x=self.x.to(device), offsets=self.offsets.to(device), counts=self.counts.to(device)
        )
