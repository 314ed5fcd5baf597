"""What a command says of a report when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metatl.evaluation.evaluate import Report
from metatl.lab import render
from metatl.lab.run import Run, report_folder
from metatl.text import say


def say_ends(by_method: dict[str, Mapping[str, Any]]) -> None:
    """Which chosen values lie at an end of what was tried."""
    said = [
        f"{method}: {name} {row['selected'][name]} is the {end} tried"
        for method, row in by_method.items()
        for name, end in render.at_an_end(row).items()
    ]
    if said:
        say("chosen at an end of `select`, so that a wider one may do better: " + "; ".join(said))


def say_report(run: Run, found: Report) -> None:
    """The score, how it was taken, and where everything lies."""
    protocol = found.protocol
    mode = "transductive" if protocol["transductive"] else "inductive"
    score, after = found.score, f" {found.score.unit}".rstrip()
    half = "" if found.ci95 is None else f" +- {score.factor * found.ci95:.{score.places}f}"
    value = f"{score.name} {score.factor * found.mean:.{score.places}f}{half}{after}"
    episodes = f"{len(found.scores)} episodes"
    if found.diverged:
        episodes += f" of which {len(found.diverged)} diverged and count as wrong"
    split = protocol["split"] if run.other is None else f"{protocol['split']} of {protocol['data']}"
    say(f"{found.method}: {value} ({split}, {episodes}, {mode})")
    say(f"run directory: {run.folder}")
    place = report_folder(run, beside=True)
    if place != run.folder:
        say(f"kept beside the run's own report: {place}")
    say(f"look at it: {place / 'report.html'}, or tensorboard --logdir {run.folder}")
