"""Prepared arrays kept in the user's cache directory: checksummed npz files, written beside and renamed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from metatl import opening
from metatl.data.bounds import check_archive
from metatl.opening import reading, swept

Arrays = dict[str, np.ndarray[Any, Any]]
NPZ_ERRORS = (Exception,)
"""What numpy and zipfile raise between them at files that are not what they should be: nearly everything."""
_CHECKSUM = "checksum"


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/metatl`, else `~/.cache/metatl`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache").expanduser()) / "metatl"


def cached(name: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays kept under `name`, or what `build` makes, kept for the next time.

    A damaged file is made anew; where the directory cannot be written the arrays are just not kept.
    """
    path = cache_dir() / f"{name}.npz"
    held = _read(path)
    if held is not None:
        return held
    arrays = build()
    with suppress(OSError):
        _write(path, arrays)
    return arrays


def look_up(name: str) -> Arrays | None:
    """The arrays kept under `name`; None where there are none, or damaged ones."""
    return _read(cache_dir() / f"{name}.npz")


def put_away(name: str, arrays: Arrays) -> None:
    """Keep the arrays under `name`, where the directory can be written."""
    with suppress(OSError):
        _write(cache_dir() / f"{name}.npz", arrays)


def read_arrays(path: Path, wanted: Collection[str] | None = None) -> Arrays:
    """The wanted arrays of an npz file that are there, all for None; the others are not unpacked.

    Raises one of NPZ_ERRORS if it is missing, damaged, too large (see `bounds`) or holds objects.
    """
    with reading(path) as raw, np.load(raw, allow_pickle=False) as file:
        keys = [key for key in file.files if wanted is None or key in wanted]
        check_archive(file.zip, keys)
        return {key: file[key] for key in keys}


def names_of(path: Path) -> list[str]:
    """The names of an npz file's arrays; raises as `read_arrays`."""
    with reading(path) as raw, np.load(raw, allow_pickle=False) as file:
        return list(file.files)


def _read(path: Path) -> Arrays | None:
    try:
        arrays = read_arrays(path)
    except NPZ_ERRORS:
        return None
    found = arrays.pop(_CHECKSUM, None)
    return arrays if found is not None and str(found) == checksum(arrays) else None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    swept(path.parent)
    beside = opening.beside(path)
    try:
        with opening.writing(beside) as file:
            kept: dict[str, Any] = {**arrays, _CHECKSUM: np.array(checksum(arrays))}
            np.savez(file, **kept)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def checksum(arrays: Arrays) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(repr((key, array.dtype.str, array.shape)).encode())
        digest.update(array.data)
    return digest.hexdigest()
