"""Rows of numbers on disk, found again by what they depend on, and read without being in memory at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metatl import opening, tree
from metatl.types import MetatlError

_CHUNK = 1 << 22
"""Numbers that are in memory at once."""


def key_of(said: Sequence[str], *trees: object) -> bytes:
    """SHA-256 over words and all tensors' types, shapes and bytes."""
    digest = hashlib.sha256(repr(list(said)).encode())
    for leaf in tree.leaves(trees):
        digest.update(repr((str(leaf.dtype), tuple(leaf.shape))).encode())
        digest.update(tree.bits(leaf.cpu()).numpy().data)
    return digest.digest()


@dataclass(frozen=True)
class KeptRows:
    """A folder of arrays [rows, numbers], each under the key of what it was made from.

    Whole files alone have their names, so that any number of processes may make them side by side.
    """

    folder: Path

    def holds(self, key: bytes) -> bool:
        """Whether there are rows under this key."""
        return self._path(key).is_file()

    def count(self, keys: Sequence[bytes]) -> int:
        """How many rows lie under these keys."""
        return sum(len(self._read(key)) for key in keys)

    def made(self, key: bytes, make: Callable[[], Tensor], there: bool) -> Tensor:
        """The rows under this key, which are `there`, or made and written.

        Raises MetatlError where the folder cannot be written.
        """
        if there:
            return torch.from_numpy(np.array(self._read(key)))
        path = self._path(key)
        rows = make().detach().cpu().contiguous()
        beside = opening.beside(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with opening.writing(beside) as file:
                np.save(file, rows.numpy())
            beside.replace(path)
        except OSError as error:
            raise MetatlError(f"{self.folder} cannot be written ({error.strerror}); name another") from error
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        return rows

    def columns(self, keys: Sequence[bytes]) -> Iterator[Tensor]:
        """All rows under these keys, some columns after the other: [rows, columns], in float64."""
        held = [self._read(key) for key in keys]
        width = held[0].shape[1]
        size = max(1, _CHUNK // sum(map(len, held)))
        for begin in range(0, width, size):
            parts = [torch.from_numpy(np.array(one[:, begin : begin + size])).double() for one in held]
            yield torch.cat(parts)

    def _path(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}.npy"

    def _read(self, key: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        path = self._path(key)
        try:
            opening.check_regular(path)
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise MetatlError(
                f"{path}, with what scouts left behind, is missing or damaged; delete it and the run's "
                "last.ckpt, and run again"
            ) from error
