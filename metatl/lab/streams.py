"""The streams of a command: closed ones, full ones, and characters that a locale does not have."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, final

_NAMES = ("stdin", "stdout", "stderr")


class UnsaidError(OSError):
    """Standard output is full, or closed."""


@final
class _Output(io.TextIOWrapper):
    """Standard output, whose failures are told from those of files."""

    def write(self, s: str, /) -> int:
        with _told_apart():
            return super().write(s)

    def flush(self) -> None:
        with _told_apart():
            super().flush()


@final
class _Errors(io.TextIOWrapper):
    """Standard error, whose failures end nothing: a run goes on where its progress cannot be shown."""

    def write(self, s: str, /) -> int:
        with suppress(OSError):
            return super().write(s)
        return len(s)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


@contextmanager
def _told_apart() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnsaidError(error.errno, error.strerror) from error


@contextmanager
def held() -> Generator[None]:
    r"""While a command runs: what cannot be encoded is written as \xe9, and see `_Output` and `_Errors`.

    Closed streams get their numbers back, which a file would have next: what libraries print would be written
    into it. Standard output that was closed refuses what is written, as one that is full does.
    """
    for name in _NAMES:
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
    with _over("stdout", _Output), _over("stderr", _Errors):
        yield


@contextmanager
def _over(name: str, kind: type[io.TextIOWrapper]) -> Generator[None]:
    """A stream of this kind in place of the process's own; streams of somebody else stay as they are."""
    stream = getattr(sys, name)
    if type(stream) is not io.TextIOWrapper:
        yield
        return
    made = kind(
        stream.buffer,
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, made)
    try:
        yield
    finally:
        setattr(sys, name, stream)
        led_nowhere(made)
        with suppress(OSError, ValueError):
            made.detach()


def led_nowhere(stream: Any) -> None:
    """Flush a stream; one that takes no more leads nowhere from now on, so that its end is silent."""
    try:
        stream.flush()
        stream.buffer.flush()
    except AttributeError:  # one in memory
        return
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
