"""What a command does with a user's mistake, an interruption and a machine that is too small: one line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from metatl import processes
from metatl.importing import is_own
from metatl.lab import streams
from metatl.lab.interrupts import Interruptible
from metatl.text import say
from metatl.types import MetatlError

_SMALLER = "lower meta_batch, evaluation.chunk or the model, or set engine.init_args.tasks_per_chunk"
_TOO_LARGE = ("can't allocate memory", "overflow", "cannot be represented as a SymInt")
"""What torch says of tensors that are larger than memory, and of those whose size is no number any more."""


def guarded(command: Callable[[], object], name: str = "metatl") -> int:
    """Run it; 0 when it did what was asked, 2 for a user's mistake, 130 when interrupted.

    1 where another process of the job was lost. What went wrong is one line on standard error, name first;
    so is standard output that is full, or closed.
    """
    hearing = Interruptible()
    with streams.held(), hearing.listening():
        try:
            code, why = hearing.run(lambda: _outcome(command))
        except KeyboardInterrupt:
            code, why = 130, "interrupted; the same command goes on from the last checkpoint"
        if why:
            say(f"{name}: " + " ".join(why.split()), sys.stderr)
        return code


def _outcome(command: Callable[[], object]) -> tuple[int, str]:
    """The exit code of a command, and what is to be said of it."""
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        streams.led_nowhere(sys.stdout)
    except MetatlError as error:
        return 2, str(error)
    except processes.LostError as error:
        return 1, str(error)
    except streams.UnsaidError as error:
        return 2, f"standard output takes nothing ({error.strerror}); what is written to files is there"
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return 2, f"{where}{error.strerror or error}; mend that and run the same command again"
    except Exception as error:
        why = _explained(error)
        if why is None:
            raise
        return 2, why
    return 0, ""


def _explained(error: Exception) -> str | None:
    """What is to be said of an error that is not ours; None for one that is, whose traceback is wanted."""
    too_large = isinstance(error, RuntimeError) and any(said in str(error) for said in _TOO_LARGE)
    if too_large or isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"out of memory ({_first_line(error)}); {_SMALLER}"
    place = _own_place(error)
    if place is not None:
        said = _first_line(error) if str(error).strip() else "no reason given"
        return f"{place} raised {type(error).__name__}: {said}; mend it and run again"
    if isinstance(error, UnicodeEncodeError):
        said = f"{error.object[:100]!r} cannot be said in this locale, whose encoding is {error.encoding}"
        return f"{said}; set PYTHONUTF8=1, or LC_ALL=C.UTF-8"
    return None


def _own_place(error: Exception) -> str | None:
    """Where in a user's own file an error arose that metatl called; None where it is no such file's doing.

    The deepest frame of such a file counts (torch's own may lie below it), if a frame of metatl called it.
    """
    found, called = None, False
    for frame, line in traceback.walk_tb(error.__traceback__):
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        if called and is_own(file):
            found = f"{Path(file).name}, line {line}, in {function}"
        called |= (
            frame.f_globals.get("__name__", "").startswith("metatl.") and frame.f_globals is not globals()
        )
    return found


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "the machine gave no more")
