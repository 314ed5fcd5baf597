"""Ctrl-C while a command runs: it ends the command wherever it falls, and nothing but the command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar, final

_Outcome = TypeVar("_Outcome")

_MOMENT = 0.02
"""Seconds."""


@final
class Interruptible:
    """Runs a command that Ctrl-C interrupts.

    KeyboardInterrupt is raised inside the command alone: a second Ctrl-C, while what was interrupted is being
    said, changes nothing. One that falls into a finaliser, where Python prints and forgets it, comes again in
    a moment; so does one that falls into the hook which Python calls then.
    """

    def __init__(self) -> None:
        self._early = False
        self._again: list[threading.Timer] = []
        self._hook = sys.unraisablehook

    def run(self, command: Callable[[], _Outcome]) -> _Outcome:
        """What the command gives. Raises KeyboardInterrupt."""
        if self._early:
            raise KeyboardInterrupt
        return command()

    @contextmanager
    def listening(self) -> Generator[None]:
        """Within it, Ctrl-C is heard so; a program's own handler, and a Ctrl-C that is ignored, stay."""
        mine = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        mine = mine and threading.current_thread() is threading.main_thread()
        if mine:
            signal.signal(signal.SIGINT, self._heard)
        sys.unraisablehook = self._uncaught
        try:
            yield
        finally:
            for timer in self._again:
                timer.cancel()
                timer.join()
            sys.unraisablehook = self._hook
            if mine:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _heard(self, _number: int, frame: FrameType | None) -> None:
        if _within(Interruptible._uncaught.__code__, frame):
            self._later()
        elif _within(Interruptible.run.__code__, frame):
            raise KeyboardInterrupt
        else:
            self._early = True

    def _uncaught(self, lost: Any) -> None:
        """What Python calls with an error that nobody can catch."""
        if issubclass(lost.exc_type, KeyboardInterrupt):
            self._later()
        else:
            self._hook(lost)

    def _later(self) -> None:
        self._again.append(threading.Timer(_MOMENT, _interrupt))
        self._again[-1].start()


def _within(code: CodeType, frame: FrameType | None) -> bool:
    """Whether this is running: in the frame, or in one that called it."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _interrupt() -> None:
    """A Ctrl-C for the main thread, a waiting one too: `_thread.interrupt_main` would not end its wait."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
