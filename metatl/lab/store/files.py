"""Files that are whole or not there: written beside their place, synced, renamed."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from metatl import processes
from metatl.types import MetatlError

_LONGEST, _PART = 10_000_000, ".part"


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
    write_there(path, content)


def write_there(path: Path, content: bytes) -> None:
    """`write_atomic` into a folder that must be there."""
    if not processes.writer():
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise MetatlError(
            f"cannot write {path}: {_why(error)}; free some space or choose another place"
        ) from error
    finally:  # an interrupt leaves nothing half-written either
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder that results go into; raises MetatlError where they could not be written."""
    if not processes.writer():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise MetatlError(f"cannot write to {str(folder)!r}: {_why(error)}; choose another place") from error


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
        raise MetatlError(f"cannot delete {path} ({_why(error)}), which is damaged; delete it") from error


def keep_previous(path: Path) -> None:
    """Let the file stay under `<name>.previous` too when it is replaced; raises MetatlError if that fails."""
    previous = path.with_name(path.name + ".previous")
    try:
        if path.is_file():
            previous.unlink(missing_ok=True)
            os.link(path, previous)
    except OSError:
        _copy(path, previous)  # some file systems have no links


def _copy(path: Path, to: Path) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MetatlError(f"{path} cannot be read ({_why(error)}); mend that and run again") from error
    write_atomic(to, content)


@contextmanager
def locked(folder: Path) -> Generator[Callable[[], None]]:
    """Hold a run directory; raises MetatlError while another process does. A dead holder's lock is free.

    What it gives raises MetatlError once the directory has gone, or stands for another one. What a killed
    process left half-written is removed. Of several processes of one job, one alone holds it.
    """
    if not processes.writer():
        yield lambda: None
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except (OSError, ValueError) as error:
        raise MetatlError(
            f"cannot write to {str(folder)!r}: {_why(error)}; choose another place with --runs"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MetatlError(
                f"{folder} is in use by another process; wait for it or choose another seed"
            ) from error
        for left in folder.glob(f".*{_PART}"):
            with suppress(OSError):
                left.unlink()
        yield lambda: _check_held(folder, file.fileno())


def _check_held(folder: Path, lock: int) -> None:
    try:
        same = os.path.samestat(os.stat(folder / ".lock"), os.fstat(lock))
    except OSError:
        same = False
    if not same:
        raise MetatlError(
            f"run directory {folder} has vanished (moved, deleted or unmounted); put it back and run again "
            "to resume, or run again to begin afresh"
        )


def write_text(path: Path, text: str) -> None:
    """`write_atomic` for text."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` for JSON, keys in the order given, floats in full."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises MetatlError naming a missing, damaged or endless one."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST:,} characters")
        return json.loads(text)
    except FileNotFoundError as error:
        raise MetatlError(f"{path} is not there") from error
    except (OSError, ValueError, RecursionError) as error:
        raise MetatlError(
            f"{path} is damaged or unreadable ({_why(error)}); delete it to have it made again"
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
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError as error:
        raise MetatlError(f"{what} {path} is not there; check the path") from error
    except UnicodeDecodeError as error:
        raise MetatlError(f"{what} {path} cannot be read: it is no text file; name another") from error
    except (OSError, ValueError) as error:
        raise MetatlError(f"{what} {str(path)!r} cannot be read ({_why(error)}); name another") from error
    if len(text) > _LONGEST:
        raise MetatlError(f"{what} {path} is longer than {_LONGEST:,} characters; name another file")
    return text


def _why(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
