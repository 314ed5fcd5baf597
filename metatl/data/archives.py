"""Reading zip archives from outside safely: nothing is unpacked to disk, and odd members are refused."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from metatl.opening import reading
from metatl.types import MetatlError

_MOST_MEMBERS, _MOST_BYTES, _MOST_IN_ALL = 200_000, 16 << 20, 1 << 30


def members(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files that end in `suffix`, sorted by name.

    Raises MetatlError for a damaged archive, absolute or `..` paths, links, and sizes beyond all reason.
    """
    try:
        with reading(path) as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            _refuse_odd(path, infos)
            for info in sorted(infos, key=lambda info: info.filename):
                if info.filename.endswith(suffix):
                    yield info.filename, archive.read(info)
    except FileNotFoundError as error:
        raise MetatlError(f"{path}: no such file") from error
    except MetatlError:
        raise
    except Exception as error:  # zipfile raises nearly everything at a damaged archive
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MetatlError(f"{path}: is damaged ({reason}); delete it and get it again") from error


def _refuse_odd(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    for info in infos:
        parts = info.filename.replace("\\", "/").split("/")
        outside = not parts[0] or ".." in parts or ":" in parts[0]
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise MetatlError(
                f"{path}: member {info.filename!r} is a link or lies outside the archive: not read"
            )
    sizes = [info.file_size for info in infos]
    if len(sizes) > _MOST_MEMBERS or max(sizes, default=0) > _MOST_BYTES or sum(sizes) > _MOST_IN_ALL:
        raise MetatlError(
            f"{path}: claims {len(sizes)} files of {sum(sizes)} bytes in all: too much, not read"
        )
