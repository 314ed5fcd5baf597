"""A row from several nets and several draws of scouts, and intervals that count both.

Nets are seeds 0, 1, ...; a draw of scouts is other sub-problems from the same net (`Scout.again`). A row
without scouts in what it starts from has one draw, which stands beside all those of another row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gtl_nets import each, joined
from numpy.typing import NDArray
from reports import Reports

from metatl.evaluation import compare
from metatl.evaluation.crossed import crossed
from metatl.evaluation.evaluate import Report
from metatl.evaluation.statistics import FEWEST_DRAWS, Estimate, holm
from metatl.lab import config, store
from metatl.learners import Scout


@dataclass(frozen=True)
class Runs:
    """The report of a row, its scores means over nets and draws; all scores [nets, draws, tasks]."""

    report: Report
    scores: NDArray[np.float64]


def runs(path: Path, nets: int, draws: int, words: Sequence[str], folder: Path, kept: Reports) -> Runs:
    """The row of a config; folder: where the configs of further draws are written; kept: their reports."""
    paths = [path, *(again for draw in range(1, draws) if (again := redrawn(path, folder, draw)))]
    found = [each(one, nets, words, kept=kept) for one in paths]
    scores = np.array([[report.scores for report in own] for own in found]).swapaxes(0, 1)
    whole = joined([report for own in found for report in own])
    by_draw = 100 * scores.mean(2)
    facts = {**whole.facts, "by_net": by_draw.mean(1).tolist(), "by_draw": by_draw.tolist()}
    return Runs(replace(whole, facts=facts), scores)


def redrawn(path: Path, folder: Path, draw: int) -> Path | None:
    """The config with other scouts in what it starts from; None where it starts from none."""
    start, values = config.read(path).get("start"), dict[str, Any]()
    before = None if start is None else redrawn(Path(start), folder, draw)
    file = folder / f"draw-{draw}" / path.resolve().parent.stem / f"{path.stem}.yaml"
    if before is not None:
        values["start"] = os.path.relpath(before, file.parent)
    if isinstance(config.load(path).learner, Scout):
        values["learner"] = {"init_args": {"again": draw}}
    if not values:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    store.write_json(file, {"base": os.path.relpath(path, file.parent), **values})  # JSON is YAML
    return file


def difference(one: Runs, other: Runs) -> Estimate:
    """Of scores on the same tasks, with its 95 % interval.

    Over tasks and nets where there are three nets, draws of scouts being averaged within each; over tasks and
    draws where there are three draws; over tasks alone otherwise (see `counted`).
    """
    apart = one.scores - other.scores
    values = apart.mean(1) if len(apart) >= FEWEST_DRAWS else apart.mean(0)
    if len(values) < FEWEST_DRAWS:
        return compare.paired(one.scores.mean((0, 1)), other.scores.mean((0, 1)))
    found = crossed(values, None)
    half = None if found.ci95 is None else (found.ci95[1] - found.ci95[0]) / 2
    return Estimate(found.mean, half, found.p, len(values))


def counted(nets: int, draws: int) -> str:
    """What the intervals of differences count, in words."""
    if nets >= FEWEST_DRAWS:
        of = f", the {draws} draws of scouts of each averaged" if draws > 1 else ", one draw of scouts each"
        return f"Intervals of differences are over tasks and over {nets} nets{of}."
    if draws >= FEWEST_DRAWS:
        few = "one net" if nets == 1 else f"{nets} nets, averaged"
        return f"Intervals of differences are over tasks and over {draws} draws of scouts, of {few}."
    return (
        "Intervals are over tasks alone: fewer than three nets and fewer than three draws of scouts say "
        "nothing of others."
    )


def contrasts(found: Mapping[str, Runs], wanted: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The differences of these pairs, in points; p Holm-corrected over all that are there."""
    pairs = [(a, b) for a, b in wanted if a in found and b in found]
    tests = [difference(found[a], found[b]).times(100) for a, b in pairs]
    return [
        {
            "row": a,
            "against": b,
            "difference": test.mean,
            "ci95": test.ci95,
            "p": p,
            "by_net": _points(found[a], found[b]).mean(1).tolist(),
            "by_draw": _points(found[a], found[b]).tolist(),
        }
        for (a, b), test, p in zip(pairs, tests, holm([test.p for test in tests]), strict=True)
    ]


def _points(one: Runs, other: Runs) -> NDArray[np.float64]:
    """[nets, draws]: the difference of each."""
    return 100 * (one.scores - other.scores).mean(2)
