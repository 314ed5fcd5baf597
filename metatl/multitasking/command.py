"""What the command `multitask` does and prints."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from metatl.lab import render, store
from metatl.lab.record.console import Console
from metatl.multitasking import split_point
from metatl.multitasking.asked import chosen
from metatl.multitasking.fit import NetBudget, divided
from metatl.multitasking.kept_fits import KeptFits
from metatl.multitasking.picture import gains
from metatl.multitasking.problem import Several, read
from metatl.multitasking.study import report, run, table
from metatl.objectives.quantile import LEVELS
from metatl.text import say
from metatl.types import MetatlError


def multitask(words: argparse.Namespace) -> None:
    """`metatl multitask`: a table a target, a picture, and report.json in the shape of `metatl transfer`.

    Fits that are done in the folder are not done again.
    """
    if words.seeds < 1 or words.steps < 1 or not words.minutes > 0:
        raise MetatlError("multitask: seeds and steps are 1 or more, minutes above 0")
    hidden = _hidden(words.hidden)
    ways = chosen(words.methods, len(hidden) if words.sweep else None)
    drop = [one.strip() for one in (words.drop or "").split(",") if one.strip()]
    problem = read(words.data, words.targets, words.text, drop)
    budget = NetBudget(words.steps, hidden=hidden, levels=LEVELS if words.quantiles else ())
    folder = Path(words.out or Path("runs") / f"multitask-{problem.name}")
    kept = KeptFits.resumed(folder, problem, budget)
    bar = Console(len(ways) * words.seeds, label="multitask", unit="fit")
    try:
        cells = run(
            problem, ways, words.seeds, budget, words.minutes, lambda _: bar.tick(len(kept.held)), kept
        )
    finally:
        bar.close()
    lacking = len(ways) * words.seeds - len(cells)
    kinds = {name: one.kind for name, one in problem.targets.items()}
    notes = [*problem.notes, *one_class(problem, sorted({seed for _, seed in cells}))]
    protocol = {
        "data": problem.name,
        "rows": problem.rows,
        "unit": problem.unit,
        "targets": kinds,
        "missing_targets": {name: problem.rows - int(problem.has(name).sum()) for name in kinds},
        "seeds": words.seeds,
        "budget": asdict(budget),
        "methods": {name: way.about for name, way in ways.items()},
        "cells_missing": lacking,
        "notes": notes,
    }
    found = report(problem, ways, cells, protocol)
    store.write_json(folder / "report.json", found)
    text = "\n".join([table(found), *(f"{note}\n" for note in notes)])
    store.write_text(folder / "table.md", text)
    store.write_atomic(folder / "plot.png", render.png(gains(found)))
    drawn = ["plot.png"]
    if split_point.points(found):
        store.write_atomic(folder / "sweep.png", render.png(split_point.curve(found)))
        drawn.append("sweep.png")
    say(text.rstrip("\n"))
    if lacking:
        say(f"the minutes did not reach {lacking} fits; give more --minutes: the same command goes on")
    say(f"written to {folder}: table.md, report.json, {', '.join(drawn)}")


def _hidden(text: str) -> tuple[int, ...]:
    """Units of each block."""
    parts = [one.strip() for one in text.split(",")]
    if not all(one.isdecimal() and int(one) > 0 for one in parts):
        raise MetatlError(f"--hidden {text!r}: give the units of each block, 64,64 say")
    return tuple(map(int, parts))


def one_class(problem: Several, seeds: Sequence[int]) -> list[str]:
    """A note for each target whose rows that judge are of one class in some draws."""
    notes = list[str]()
    for name, target in problem.targets.items():
        if target.kind != "classes":
            continue
        y, has = problem.y[name], problem.has(name)
        judges = [torch.from_numpy(divided(problem, seed)["test"]) for seed in seeds]
        alike = sum(len(y[rows][has[rows]].unique()) == 1 for rows in judges)
        if alike:
            notes.append(
                f"{name}: in {alike} of {len(seeds)} draws all rows that judge are of one class, so that "
                "their score says nothing of the others; more rows of rare classes would"
            )
    return notes
