"""Which net is learned on a source: an architecture with its preparation for every kind of input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from metatl.adapt import Descent
from metatl.adapt.stopping import EarlyStopping
from metatl.data.examples import Examples, Index, Inputs
from metatl.data.prepared_signals import MelPreparation, WindowPreparation
from metatl.data.signals import RATE
from metatl.data.tables import Columns, Encoder
from metatl.heads import Learned
from metatl.rules import Adam
from metatl.transferring.backbone import CONVOLVED, SMALL
from metatl.transferring.shared_columns import shared_columns

HIDDEN, BATCH = (256, 128), 64
"""Widths of the hidden layers of an MLP; rows of a step."""
FRAMES = 300
"""Of a recording, at most: three seconds."""
_PLAIN = Descent(Adam(1e-3), head=Learned(), moments="frozen", batch_size=BATCH, shuffle=True)
STOPPED = replace(_PLAIN, stopping=EarlyStopping(share=0.2, patience=100))
"""For nets that cost little: a fifth of the source's rows tells when to stop."""
COOLED = replace(_PLAIN, rule=Adam(3e-3), moments="batch", schedule="cosine")
"""For nets with batch norms: over all rows, the rate falling to 0."""


@dataclass(frozen=True)
class Sketch:
    """A net that is yet to be learned on a source.

    net: its class; article: the same with `a`; shape, arguments: of its architecture; preparation: of a row;
    seen: what that reads, in plain values; way: how it learns; epochs, most: passes over the source, and
    steps, at most; scaled: rate and rows seen, see `Backbone`; notes: on what it does not see.
    """

    net: str
    article: str
    shape: Sequence[int]
    arguments: Mapping[str, Any]
    preparation: Any
    seen: Mapping[str, Any]
    way: Descent
    epochs: int
    most: int
    scaled: tuple[float, float]
    notes: Sequence[str] = ()


def sketched(source: Examples, problem: Examples) -> Sketch:
    """The net for what the source's rows are; its preparation is fitted on the labelled ones.

    Raises MetatlError where source and problem have nothing in common.
    """
    return _KINDS[source.inputs.unit](source.inputs, source.pool, problem.inputs)


def _of_columns(source: Inputs, rows: Index, problem: Inputs) -> Sketch:
    """An MLP on the columns that both have."""
    theirs, ours = cast(Columns, source.columns), cast(Columns, problem.columns)
    shared = shared_columns(theirs, ours)
    encoder = Encoder.fit(theirs.only(shared).take(rows))
    seen, notes = {"columns": list(encoder.columns)}, _notes(theirs, ours, shared)
    hidden = {"hidden": list(HIDDEN)}
    return Sketch("MLP", "an MLP", [encoder.width], hidden, encoder, seen, STOPPED, 100, 3000, SMALL, notes)


def _of_windows(source: Inputs, rows: Index, problem: Inputs) -> Sketch:
    """1-D convolutions on the windows as they are."""
    made = WindowPreparation.fit(source.take(rows).held)
    made(problem.held[:1])
    shape = [len(made.mean), made.length]
    width = {"filters": 32}
    way = COOLED, 20, 1500, CONVOLVED
    return Sketch("Conv1d", "a Conv1d", shape, width, made, _scales(made), *way, _beside(problem))


def _of_recordings(source: Inputs, rows: Index, problem: Inputs) -> Sketch:
    """2-D convolutions on log-mel spectrograms."""
    made = MelPreparation.fit((source.raw(int(place)) for place in rows), FRAMES)
    shape = [1, made.length, len(made.mean)]
    seen = {**_scales(made), "frames": made.length, "samples a second": RATE}
    way = COOLED, 30, 1500, CONVOLVED
    return Sketch("Conv2d", "a Conv2d", shape, {}, made, seen, *way, _beside(problem))


_KINDS: Mapping[str, Callable[[Inputs, Index, Inputs], Sketch]] = {
    "row": _of_columns,
    "window": _of_windows,
    "recording": _of_recordings,
}
"""By what a row is called."""


def _scales(made: WindowPreparation | MelPreparation) -> dict[str, Any]:
    return {name: [float(f"{v:.6g}") for v in getattr(made, name)] for name in ("mean", "deviation")}


def _beside(problem: Inputs) -> list[str]:
    count = len(problem.columns)
    unit = problem.unit
    return [f"The net sees the {unit}s themselves; rows on columns see {count} numbers of each."]


def _notes(theirs: Columns, ours: Columns, shared: list[str]) -> list[str]:
    lacking = [name for name in ours if name not in theirs]
    more = [name for name in theirs if name not in shared]
    found = [f"The net sees {len(shared)} columns, those that the source has too."]
    if lacking:
        found.append(f"Not in the source, and unseen by the net: {_some(lacking)}.")
    if more:
        found.append(f"In the source alone: {_some(more)}.")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
