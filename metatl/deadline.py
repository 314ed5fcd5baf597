"""A deadline for long work: whoever has the time sets it, and work looks at it between two steps."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from metatl.errors import MetatlError

_UNTIL: ContextVar[float] = ContextVar("until", default=math.inf)


class OutOfTimeError(MetatlError):
    """Work that was not done when its time was over."""


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Work in here that lasts longer ends by OutOfTimeError at its next look; of nested ones the earliest."""
    token = _UNTIL.set(min(_UNTIL.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _UNTIL.reset(token)


def in_time() -> None:
    """A look: raises OutOfTimeError where the time is over."""
    if time.monotonic() > _UNTIL.get():
        raise OutOfTimeError("the time for this is over; give it more, or leave it out")
