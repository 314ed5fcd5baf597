"""Folders that results go into: made, held while they are written, and never behind a link."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from metatl import opening, processes
from metatl.lab.store.files import why
from metatl.types import MetatlError


def make_folder(folder: Path) -> None:
    """Make a folder that results go into; raises MetatlError where they could not be written.

    Also where it is a link: everything in a run directory, and in a folder of `--out`, is made with this,
    level by level, so that nothing there is written through a link. What lies above may be one.
    """
    if not processes.writer():
        return
    _refuse_link(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise MetatlError(f"cannot write to {str(folder)!r}: {why(error)}; choose another place") from error


def _refuse_link(folder: Path) -> None:
    try:
        link = folder.is_symlink()
    except (OSError, ValueError):  # which making it says
        return
    if link:
        raise MetatlError(
            f"{folder} is a link, and nothing is written through links; name the folder that it leads to, or "
            "delete the link"
        )


@contextmanager
def locked(folder: Path) -> Generator[Callable[[], None]]:
    """Hold a run directory; raises MetatlError while another process does. A dead holder's lock is free.

    What it gives raises MetatlError once the directory has gone, or stands for another one. What a killed
    process left half-written is removed. Of several processes of one job, one alone holds it. A directory or
    a lock that is a link is refused (`make_folder`), and no content of a lock is touched.
    """
    if not processes.writer():
        yield lambda: None
        return
    _refuse_link(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = opening.changing(folder / ".lock")
    except (OSError, ValueError) as error:
        raise MetatlError(
            f"cannot write to {str(folder)!r}: {why(error)}; choose another place with --runs"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MetatlError(
                f"{folder} is in use by another process; wait for it or choose another seed"
            ) from error
        opening.sweep(folder, own=True, held=True)
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
