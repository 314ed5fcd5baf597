"""Files and folders as wholes: whether they are still what they were, and removing them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from metatl.opening import reading
from metatl.types import MetatlError

_HASHED = 1000
"""Files of a folder whose bytes are read; of the others names and sizes say whether they changed."""


def fingerprint(path: Path) -> str:
    """16 hex digits of SHA-256 over a file's bytes, or over names and bytes of a folder's files.

    Hidden files play no part, and beyond 1,000 files a folder's are told by name and size. Raises MetatlError
    for a file that cannot be read.
    """
    try:
        if path.is_file():
            with reading(path) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        told = hashlib.sha256()
        for place, file in enumerate(files_in(path)):
            name = file.relative_to(path).as_posix()
            inner = fingerprint(file) if place < _HASHED else str(file.stat().st_size)
            told.update(repr((name, inner)).encode())
        return told.hexdigest()[:16]
    except OSError as error:
        raise MetatlError(f"{path} cannot be read ({error.strerror}); mend that and run again") from error


def stamp(path: Path) -> tuple[int, int, int]:
    """Number, bytes and newest change of what lies at a path: differs when something was edited or removed.

    Reads no content; all 0 where there is nothing.
    """
    number, size, newest = 0, 0, 0
    with suppress(OSError, ValueError):
        for file in [path] if path.is_file() else [path, *files_in(path)]:
            seen = file.stat()
            number, size, newest = number + 1, size + seen.st_size, max(newest, seen.st_mtime_ns)
    return number, size, newest


def files_in(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, in order; no hidden ones."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part == "__pycache__" for part in parts) and path.is_file():
            yield path


def remove_tree(path: Path) -> None:
    """Delete a file, or a folder with all in it (no link is followed); MetatlError where that is refused."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise MetatlError(f"cannot delete {path} ({error.strerror}); delete it and run again") from error
