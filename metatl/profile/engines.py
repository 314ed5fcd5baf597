"""Engines by the names that `metatl profile` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from metatl.engines import Auto, Batched, Engine, Higher, Learn2Learn, Loop
from metatl.types import MetatlError

CAN_COMPILE = "compile" in {field.name for field in dataclasses.fields(Batched)}
"""Whether the batched engine offers a compiled step."""


def _batched(chunk: int | None) -> Engine:
    return Batched(chunk)


def _auto(chunk: int | None) -> Engine:
    return Auto(chunk)


def _compiled(chunk: int | None) -> Engine:
    options: dict[str, Any] = {"compile": True}
    return Batched(chunk, **options)


MAKERS: dict[str, Callable[[int | None], Engine]] = {
    "batched": _batched,
    "loop": lambda _: Loop(),
    "auto": _auto,
    "higher": lambda _: Higher(),
    "learn2learn": lambda _: Learn2Learn(),
    **({"compiled": _compiled} if CAN_COMPILE else {}),
    "captured": _batched,
}
PEERS = ("higher", "learn2learn")
AT_ONCE = ("batched", "compiled", "captured", "auto")
"""Those that may hold many tasks in memory at once."""


def engine_of(name: str, tasks_per_chunk: int | None = None) -> Engine:
    """The engine of this name; MetatlError for another name.

    `compiled` is batched with a compiled step, `captured` batched with the whole step as one CUDA graph.
    """
    if name not in MAKERS:
        raise MetatlError(f"unknown engine '{name}'; choose of {', '.join(MAKERS)}")
    return MAKERS[name](tasks_per_chunk)


def chosen(words: str | None) -> tuple[list[str], str]:
    """The names of a comma-separated list, and a note; without a list, all that are installed."""
    if words is not None:
        names = [word.strip() for word in words.split(",") if word.strip()]
        for name in names:
            engine_of(name)
        return list(dict.fromkeys(names)), ""
    names, notes = ["batched", "loop"], list[str]()
    for name in PEERS:
        try:
            engine_of(name)
            names.append(name)
        except MetatlError as error:
            notes.append(str(error))
    return names, "; ".join(notes)


def for_workload(names: Sequence[str], workload: str, device: str) -> list[str]:
    """The batched engine is timed compiled too on the sinusoid, and captured too on a CUDA device.

    Raises MetatlError for `captured` on another device.
    """
    on_cuda = device.startswith("cuda")
    if "captured" in names and not on_cuda:
        raise MetatlError("engine 'captured' is a CUDA graph; add --device cuda, or leave it out")
    if on_cuda and "batched" in names and "captured" not in names:
        names = [*names, "captured"]
    if workload == "W3" and CAN_COMPILE and "batched" in names and "compiled" not in names:
        return [*names, "compiled"]
    return list(names)
