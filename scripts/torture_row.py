"""What `torture.py` calls a row: a fault, how often it is done, and what comes of each time."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# The tests' helpers; other packages install their tests under this name too.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(Path(__file__).resolve().parent.parent / "tests")]


@dataclass(frozen=True)
class Hit:
    """One time that a fault was done: what was lost (nothing: ""), and figures for the row."""

    lost: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """hits(folder, times): does the fault that often, in an empty folder, and says what came of each time."""

    fault: str
    times: int
    hits: Callable[[Path, int], Iterator[Hit]]


def landed(action: Callable[[], Any]) -> Hit:
    """The hit of an action that raises where something was lost."""
    try:
        action()
    except (Exception, pytest.fail.Exception) as error:
        return Hit(" ".join(f"{type(error).__name__}: {error}".split())[:300])
    return Hit()


def each(action: Callable[[Path, int], Any]) -> Callable[[Path, int], Iterator[Hit]]:
    """Hits that do not depend on each other: the action on a folder of its own and a number."""

    def hits(folder: Path, times: int) -> Iterator[Hit]:
        for number in range(times):
            place = folder / str(number)
            place.mkdir()
            yield landed(lambda: action(place, number))  # noqa: B023

    return hits
