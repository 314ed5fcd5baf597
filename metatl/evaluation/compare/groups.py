"""Reports of tasks that are groups: the score of every person (hospital, sensor), and who is harmed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metatl.evaluation.compare.rows import Row, Scored, checked
from metatl.evaluation.scores import of_protocol
from metatl.evaluation.statistics import estimate, worst_decile
from metatl.types import MetatlError


def by_group(reports: Sequence[Scored], groups: Sequence[Any], floor: str) -> list[Row]:
    """One JSON-ready dict a method, in the order given; scores in their unit, percent say.

    groups [episodes]: whose each is. A group's score is the mean over its episodes; groups are the
    independent units, so `ci95` is over them. worst_tenth: mean of the worst tenth of the groups (rounded
    up); harmed: the groups with a score worse than under the method `floor`, by name; by_group: every one's
    score. Raises MetatlError where episodes and groups do not pair.
    """
    names = sorted({str(one) for one in groups}, key=_place)
    of = np.array([names.index(str(one)) for one in groups])
    means = {report.method: _means(report, of, len(names)) for report in reports}
    return [_row(report, names, means[report.method], means[floor]) for report in reports]


def _means(report: Scored, of: Any, count: int) -> Any:
    """[groups]: the mean score of each one's episodes."""
    scores = checked(report.method, report.scores)
    if len(scores) != len(of):
        raise MetatlError(f"{report.method}: {len(scores)} episodes cannot be paired with {len(of)} groups")
    return np.array([scores[of == place].mean() for place in range(count)])


def _row(report: Scored, names: Sequence[str], own: Any, floor: Any) -> Row:
    score = of_protocol(report.protocol)
    found = estimate(own).times(score.factor)
    worse = score.sign * (own - floor) < 0
    return {
        "method": report.method,
        score.name: found.mean,
        "ci95": found.ci95,
        "groups": len(names),
        "worst_tenth": score.factor * worst_decile(own, score.name),
        "harmed": [name for name, hit in zip(names, worse.tolist(), strict=True) if hit],
        "by_group": {name: score.factor * one for name, one in zip(names, own.tolist(), strict=True)},
    }


def _place(name: str) -> tuple[bool, int, str]:
    """Numbers in their order, before names."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
