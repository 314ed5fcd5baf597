"""Files that are whole or not there: written beside their place, synced, renamed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from metatl.types import MetatlError


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside, sync, rename; raises MetatlError in one line where the file system refuses."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise MetatlError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another place"
        ) from error


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold a run directory; raises MetatlError while another process does. A dead holder's lock is free."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise MetatlError(
            f"cannot write to {folder}: {error.strerror}; choose another place with --runs"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MetatlError(
                f"{folder} is in use by another process; wait for it or choose another seed"
            ) from error
        yield


def write_text(path: Path, text: str) -> None:
    """`write_atomic` for text."""
    write_atomic(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` for JSON, keys in the order given, floats in full."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises MetatlError naming a missing or damaged one."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise MetatlError(f"{path} is not there") from error
    except (OSError, ValueError) as error:
        raise MetatlError(
            f"{path} is damaged or unreadable ({error}); delete it to have it made again"
        ) from error


def read_text(path: Path, what: str) -> str:
    """A text file's content; raises MetatlError naming a missing or unreadable one."""
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise MetatlError(f"{what} {path} is not there; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MetatlError(f"{what} {path} cannot be read ({error})") from error
