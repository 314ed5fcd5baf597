"""How much memory what is read may take: sizes are read from headers, before anything is unpacked.

Arrays of an npz file may unpack to a quarter of the machine's memory, and, where that is more than 1 GiB, to
200 times the bytes that they are packed in. Members that nobody asks for are not unpacked at all.
A text of fields becomes an object each, ten times its bytes and more: it may be a sixteenth of that quarter.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

SHARE = 4
"""The machine's memory over what one file may unpack to."""
_ANYWAY, _DENSEST, _FIELDS = 1 << 30, 200, 16
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its container's if that has fewer."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            found = min(found, int(Path(file).read_text()))
    return found


def check_archive(archive: zipfile.ZipFile, wanted: Collection[str]) -> None:
    """Raise ValueError where the wanted arrays of an npz file would unpack to too much, or lie about it."""
    infos = [info for info in archive.infolist() if info.filename.removesuffix(".npy") in wanted]
    total, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    if total > max(_ANYWAY, _DENSEST * packed):
        raise ValueError(f"it claims {total} bytes packed in {packed}")
    for info in infos:
        with archive.open(info) as member:
            claimed = array_bytes(member)
        if claimed > info.file_size:
            raise ValueError(f"{info.filename} claims {claimed} bytes, and has {info.file_size}")
    if total > machine_memory() // SHARE:
        raise ValueError(
            f"{', '.join(wanted)} unpack to {total >> 20:,} MiB, and one file may take a quarter of this "
            f"machine's {machine_memory() >> 20:,} MiB"
        )


def check_text(path: Path) -> None:
    """Raise ValueError for a text file that this machine has no room for once it is split into fields."""
    size, most = path.stat().st_size, machine_memory() // SHARE // _FIELDS
    if size > most:
        raise ValueError(
            f"it has {size >> 20:,} MiB, and this machine has room for the fields of {most >> 20:,} MiB of "
            "text; take fewer rows, or Parquet"
        )


def check_bytes(size: int) -> None:
    """Raise ValueError for arrays of more bytes than one file may unpack to."""
    if size > machine_memory() // SHARE:
        raise ValueError(
            f"it unpacks to {size >> 20:,} MiB, and one file may take a quarter of this machine's "
            f"{machine_memory() >> 20:,} MiB"
        )


def array_bytes(stream: IO[bytes]) -> int:
    """Bytes of the array whose npy header stands in the stream; raises ValueError for another header."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        return 0  # numpy reads or refuses it; what it unpacks is bounded by the member's size
    shape, _, kind = readers[version](stream)
    return math.prod(shape) * kind.itemsize
