"""What the command `affinity` does and prints."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metatl import estimates
from metatl.affinity.kept import Kept, key_of
from metatl.affinity.matrix import RATES, SOURCE_RATE, SOURCE_STEPS, STEPS, WIDTH, Transfers
from metatl.affinity.reading import read_tasks
from metatl.affinity.report import report
from metatl.affinity.written import summary, write
from metatl.estimates import TransferabilityEstimate
from metatl.lab.record.console import Console
from metatl.text import counted, near, say, terminal
from metatl.transferring.opened import Words
from metatl.types import MetatlError

USUAL = ("LogME", "LEEP", "NCE", "HScore", "PARC", "NearestNeighbour", "Task2Vec")
KEPT = 0.95
"""Share of the minutes for transfers; the rest is for tables and the picture."""


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the data: labels of each class (of real values: rows), draws, minutes."""

    labelled: int = 5
    draws: int = 5
    minutes: float = 10.0
    seed: int = 0
    net: str | None = None
    size: int | None = None
    estimates: str | None = None

    def __post_init__(self) -> None:
        """Raise MetatlError for numbers that mean nothing."""
        if self.labelled < 1 or self.draws < 1 or not self.minutes > 0:
            raise MetatlError("affinity: labelled and draws must be 1 or more, and minutes above 0")

    def chosen(self) -> list[TransferabilityEstimate]:
        """The estimates by name, all where none is named; raises MetatlError with the nearest."""
        names = USUAL if self.estimates is None else [one.strip() for one in self.estimates.split(",")]
        if unknown := [one for one in names if one not in USUAL]:
            raise MetatlError(f"affinity: there is no estimate {unknown[0]!r}{near(unknown[0], USUAL)}")
        return [getattr(estimates, one)() for one in names]


def affinity(
    data: Any, column: str | None, words: Words, asked: Asked, out: str | Path | None = None
) -> tuple[dict[str, Any], Path, tuple[str, ...]]:
    """All transfers between the tasks of the data: the report, its folder, and the files in it.

    column: whose values are tasks; without it several targets are (`words.target`), or the folders in `data`.
    Transfers that are done in `out` are not done again; minutes are those of all commands. Raises MetatlError
    in one line for whatever cannot work.
    """
    began, chosen = time.monotonic(), asked.chosen()
    tasks, net, notes = read_tasks(data, column, words, asked.net, asked.size, asked.labelled, asked.seed)
    work = Transfers(tasks, chosen, asked.labelled, asked.seed)
    name = Path(data).resolve().stem if isinstance(data, str | Path) else "data"
    folder = Path(out) if out is not None else Path("runs") / f"affinity-{name}"
    kept = Kept.resumed(folder, key_of(work, {"net": net.key}))
    spent = kept.spent
    try:
        _work(work, kept, asked, lambda: spent + time.monotonic() - began)
    finally:
        kept.note(spent + time.monotonic() - began)
    draws = kept.draws(tasks, asked.draws)
    if not draws:
        raise MetatlError(
            f"{counted(asked.minutes, 'minute')} reached no draw of all pairs; give more (--minutes): "
            "the same command goes on"
        )
    found = report(work, kept, draws, _facts(name, asked, net.facts, notes, draws))
    return found, folder, write(folder, found)


def _work(work: Transfers, kept: Kept, asked: Asked, gone: Any) -> None:
    """Draw after draw of all targets, as far as the minutes go."""
    missing = [
        (draw, j) for draw in range(asked.draws) for j in range(len(work.tasks)) if (j, draw) not in kept.held
    ]
    bar, longest = Console(max(1, len(missing)), label="affinity", unit="target"), 0.0
    try:
        for done, (draw, j) in enumerate(missing):
            before = gone()
            if before + longest > KEPT * 60 * asked.minutes:
                return
            kept.put(j, draw, work.cell(j, draw))
            longest = max(longest, gone() - before) if done else 0.0  # the first one learns the sources too
            bar.tick(done + 1)
    finally:
        bar.close()


def _facts(name: str, asked: Asked, net: dict[str, Any], notes: Sequence[str], draws: int) -> dict[str, Any]:
    short = (
        []
        if draws == asked.draws
        else [f"{draws} of {asked.draws} draws: the minutes ended; the same command with more goes on."]
    )
    return {
        "data": name,
        "net": net["net"],
        "minutes": asked.minutes,
        "way": _way(net["net"]),
        "left_out": [f"left out: {note}" for note in notes if note.startswith("task ")],
        "notes": [*short, *(note for note in notes if not note.startswith("task "))],
    }


def _way(net: str) -> str:
    rates = ", ".join(f"{one:g}" for one in RATES)
    return (
        f"Every start is a net with one hidden layer of {WIDTH} on standardised features ({net}); a source "
        f"learns on all its rows that may be labelled ({SOURCE_STEPS} steps of Adam at {SOURCE_RATE:g}), "
        f"keeps its hidden layer, and is adapted whole with a new output layer ({STEPS} steps; "
        f"every start chooses its rate among {rates} on a third of the labelled rows). Scratch is the random "
        "net that all sources started from, adapted in the same way."
    )


def command(words: argparse.Namespace) -> None:
    """`metatl affinity`."""
    columns = Words(words.target, words.text, None, words.drop, None, words.audio)
    asked = Asked(
        words.labelled, words.draws, words.minutes, words.seed, words.net, words.size, words.estimates
    )
    found, folder, files = affinity(words.data, words.tasks, columns, asked, words.out)
    for line in [*summary(found), *found["protocol"]["left_out"], *found["protocol"]["notes"]]:
        say(terminal(line))
    for one in sorted((pair for pair in found["pairs"] if pair["harm"]), key=lambda one: one["gain"])[:5]:
        say(terminal(f"negative transfer: {one['source']} -> {one['target']}, {one['gain']:+.3g}"))
    say(f"written to {folder}: {', '.join(files)}")
