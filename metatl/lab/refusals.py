"""What a command does with a user's mistake, an interruption and a machine that is too small: one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from metatl import processes
from metatl.importing import is_own
from metatl.text import say
from metatl.types import MetatlError

_SMALLER = "lower meta_batch, evaluation.chunk or the model, or set engine.init_args.tasks_per_chunk"
_TOO_LARGE = ("can't allocate memory", "overflow", "cannot be represented as a SymInt")
"""What torch says of tensors that are larger than memory, and of those whose size is no number any more."""


def guarded(command: Callable[[], object], name: str = "metatl") -> int:
    """Run it; 0 when it did what was asked, 2 for a user's mistake, 130 when interrupted.

    1 where another process of the job was lost. What went wrong is one line on standard error, name first.
    """
    try:
        command()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _refused(name, "interrupted; the same command goes on from the last checkpoint", 130)
    except MetatlError as error:
        return _refused(name, str(error))
    except processes.LostError as error:
        return _refused(name, str(error), 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refused(name, f"{where}{error.strerror or error}; mend that and run the same command again")
    except (MemoryError, torch.OutOfMemoryError) as error:
        return _refused(name, f"out of memory ({_first_line(error)}); {_SMALLER}")
    except Exception as error:
        if isinstance(error, RuntimeError) and any(said in str(error) for said in _TOO_LARGE):
            return _refused(name, f"out of memory ({_first_line(error)}); {_SMALLER}")
        place = _own_place(error)
        if place is None:
            raise
        said = _first_line(error) if str(error).strip() else "no reason given"
        return _refused(name, f"{place} raised {type(error).__name__}: {said}; mend it and run again")
    return 0


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


def _refused(name: str, why: str, code: int = 2) -> int:
    say(f"{name}: " + " ".join(why.split()), sys.stderr)
    return code


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "the machine gave no more")
