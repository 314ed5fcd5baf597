"""The streams of a command: closed ones, full ones, and characters that a locale does not have."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, final

_NAMES = ("stdin", "stdout", "stderr")
_MOMENT = 0.02
"""Seconds."""


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


@contextmanager
def interruptible() -> Generator[None]:
    """A Ctrl-C that falls into a finaliser, where Python prints and forgets it, comes again in a moment."""
    again = list[threading.Timer]()

    def later() -> None:
        again.append(threading.Timer(_MOMENT, _interrupt))
        again[-1].start()

    try:
        with finalisers(later):
            yield
    finally:
        for timer in again:
            timer.cancel()


def _interrupt() -> None:
    """A Ctrl-C for the main thread, a waiting one too: `_thread.interrupt_main` would not end its wait."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def finalisers(interrupted: Callable[[], object]) -> Generator[None]:
    """What is done when a Ctrl-C falls into a finaliser, in place of a line that Python prints."""
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            interrupted()
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def uninterrupted() -> Generator[None]:
    """Another Ctrl-C changes nothing here."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
