"""Opening files: regular ones alone are read, and what is written is a new file, never one behind a link.

Reading goes through links, since a user's data may lie anywhere. Writing does not: a file is written beside
its place and renamed, which replaces a link at that place and leaves alone what it led to.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from contextlib import suppress
from functools import cache
from io import BufferedRandom, BufferedReader, BufferedWriter
from pathlib import Path

from metatl.types import MetatlError

_ASIDE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MARKED = re.compile(r"\..+\.([\w-]+)-(\d+)\.part")
_EARLIER = re.compile(r".+\.()(\d+)\.part")
"""Names of files and folders in the making: with machine and process, and of earlier versions."""
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def text_of(name: str | Path) -> str:
    r"""A name from the file system as text, whatever the locale: UTF-8, odd bytes as \xe9.

    Python stands lone surrogates for what the locale cannot decode, which no picture and no file takes.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def check_regular(path: str | Path) -> None:
    """Raise MetatlError for a pipe, a socket or a device, of which reading may never end.

    OSError for what is not there; a folder passes, and is refused where it is opened.
    """
    _check(os.stat(path).st_mode, path)


def _check(mode: int, path: str | Path) -> None:
    for is_kind, called in _KINDS:
        if is_kind(mode):
            raise MetatlError(f"{path} is {called}, not a file; name a regular file")


def reading(path: str | Path) -> BufferedReader:
    """A file opened to read; raises OSError where it cannot be, MetatlError as `check_regular`."""
    check_regular(path)  # opening a device may do something already
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(os.fstat(number).st_mode, path)
        return os.fdopen(number, "rb")
    except BaseException:
        with suppress(OSError):  # fdopen has closed a folder's
            os.close(number)
        raise


def writing(path: str | Path) -> BufferedWriter:
    """A new file opened to write; what stood under its name goes, and a link's target stays as it is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _ASIDE
    try:
        number = os.open(path, flags, 0o666)
    except FileExistsError:
        os.unlink(path)
        number = os.open(path, flags, 0o666)
    return os.fdopen(number, "wb")


def changing(path: str | Path) -> BufferedRandom:
    """A file opened to read and write, made if it is not there, its content untouched.

    Raises MetatlError for a link, and as `check_regular`.
    """
    if os.path.islink(path):
        raise MetatlError(f"{path} is a link, and nothing is written through links; delete it")
    number = os.open(path, os.O_RDWR | os.O_CREAT | _ASIDE, 0o666)
    try:
        _check(os.fstat(number).st_mode, path)
        return os.fdopen(number, "r+b")
    except BaseException:
        with suppress(OSError):
            os.close(number)
        raise


@cache
def _machine() -> str:
    return re.sub(r"\W+", "-", socket.gethostname(), flags=re.ASCII) or "machine"


def mark() -> str:
    """The end of the name of what this process has in the making."""
    return f".{_machine()}-{os.getpid()}.part"


def beside(path: Path) -> Path:
    """Where the content of a file is written before it is renamed."""
    return path.with_name(f".{path.name}{mark()}")


def sweep(folder: Path, own: bool = False, held: bool = False) -> None:
    """Remove what processes that are gone left half-made in a folder; what living ones make stays.

    own: all files there are metatl's, so that those that earlier versions left are known by their names. Of
    another machine's processes nobody here knows whether they live: theirs stays too, unless the folder is
    `held` by a lock, so that nobody else writes there.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            left = _MARKED.fullmatch(entry.name) or (own and _EARLIER.fullmatch(entry.name))
            if left and _gone(left[1], int(left[2]), held):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


@cache
def swept(folder: Path) -> None:
    """`sweep` of an own folder with many files, once for each process."""
    sweep(folder, own=True)


def _gone(machine: str, process: int, held: bool) -> bool:
    if machine == _machine():
        return not _lives(process)
    return held or (machine == "" and not _lives(process))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True
