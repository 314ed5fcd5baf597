"""Files that are whole or not there: written beside their place, synced, renamed."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from metatl import opening, processes
from metatl.types import MetatlError

_LONGEST = 10_000_000


class DamagedError(MetatlError):
    """A file that is not whole: what it held may be there elsewhere, or can be made again."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside, sync, rename; raises MetatlError in one line where the file system refuses.

    Of several processes (`processes.job`) one alone writes.
    """
    if not processes.writer():
        return
    with suppress(OSError):  # which writing says
        path.parent.mkdir(parents=True, exist_ok=True)
    opening.sweep(path.parent)
    write_there(path, content)


def write_there(path: Path, content: bytes) -> None:
    """`write_atomic` into a folder that must be there."""
    if not processes.writer():
        return
    beside = opening.beside(path)
    try:
        with opening.writing(beside) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise MetatlError(
            f"cannot write {path}: {why(error)}; free some space or choose another place"
        ) from error
    finally:  # an interrupt leaves nothing half-written either
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """So that a renamed file keeps its name when the power goes; not every file system can."""
    with suppress(OSError):
        place = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def remove(path: Path) -> None:
    """Delete a file that is of no use; raises MetatlError where the file system refuses."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise MetatlError(f"cannot delete {path} ({why(error)}), which is damaged; delete it") from error


def keep_previous(path: Path) -> None:
    """Let the file stay under `<name>.previous` too when it is replaced; raises MetatlError if that fails."""
    previous = path.with_name(path.name + ".previous")
    try:
        if path.is_file():
            previous.unlink(missing_ok=True)
            os.link(path, previous)
    except OSError:
        copy(path, previous)  # some file systems have no links


def copy(path: Path, to: Path) -> None:
    """Write the same bytes to another place; raises MetatlError for a file that cannot be read or written."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise MetatlError(f"{path} cannot be read ({why(error)}); mend that and run again") from error
    write_atomic(to, content)


def write_text(path: Path, text: str) -> None:
    r"""`write_atomic` for text, in UTF-8; of file names that are no text the odd bytes as \udce9."""
    write_atomic(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` for JSON, keys in the order given, floats in full."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_bytes(path: Path) -> bytes:
    """A regular file's content; raises OSError, and MetatlError for a pipe, a socket or a device."""
    with opening.reading(path) as file:
        return file.read()


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises MetatlError naming a missing, damaged or endless one."""
    try:
        with opening.reading(path) as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST:,} bytes")
        return json.loads(text)
    except FileNotFoundError as error:
        raise MetatlError(f"{path} is not there") from error
    except (OSError, ValueError, RecursionError) as error:
        raise MetatlError(
            f"{path} is damaged or unreadable ({why(error)}); delete it to have it made again"
        ) from error


def refuse_newer(path: Path, version: Any, newest: int) -> None:
    """Raise MetatlError where a file's format version is above the newest that is known here."""
    if isinstance(version, int) and version > newest:
        raise MetatlError(
            f"{path} has format version {version}; this metatl reads up to {newest}: update metatl"
        )


def read_text(path: Path, what: str) -> str:
    """A text file's content; raises MetatlError naming a missing, unreadable or endless one."""
    try:
        with io.TextIOWrapper(opening.reading(path), encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError as error:
        raise MetatlError(f"{what} {path} is not there; check the path") from error
    except UnicodeDecodeError as error:
        raise MetatlError(f"{what} {path} cannot be read: it is no text file; name another") from error
    except (OSError, ValueError) as error:
        raise MetatlError(f"{what} {str(path)!r} cannot be read ({why(error)}); name another") from error
    if len(text) > _LONGEST:
        raise MetatlError(f"{what} {path} is longer than {_LONGEST:,} characters; name another file")
    return text


def why(error: Exception) -> str:
    """What the file system says, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())
