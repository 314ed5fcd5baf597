"""One config from several pre-trained nets (seeds): the mean score over nets, episode by episode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import study
from reports import Reports

from metatl.evaluation.evaluate import Report
from metatl.lab import config
from metatl.lab.render import at_an_end
from metatl.lab.run import prepare, report

CONTROLS = ("permuted", "layer-mean", "constant")
"""What a guide is held against beside plain transfer."""


def reported(
    path: Path, nets: int, words: Sequence[str], beside: bool = False, kept: Reports | None = None
) -> Report:
    """The report of a config over seeds 0, 1, ...; facts: each net's mean, the rate chosen for each."""
    return joined(each(path, nets, words, beside, kept))


def each(
    path: Path, nets: int, words: Sequence[str], beside: bool = False, kept: Reports | None = None
) -> list[Report]:
    """The reports of a config from seeds 0, 1, ...; kept: where they are kept beside the run directories."""
    found = list[Report]()
    for seed in range(nets):
        own = [*words, "--seed", str(seed)]
        run = prepare(config.load(path, own), own)
        found.append(report(run, beside=beside) if kept is None else kept.of(run, beside))
    return found


def joined(found: Sequence[Report]) -> Report:
    """The mean over reports of the same episodes; facts: each one's mean, and what was chosen for it."""
    first, costs = found[0], ("trainable", "ms_per_task", "seconds_to_learn")
    facts: dict[str, Any] = {key: float(np.mean([one.facts[key] for one in found])) for key in costs}
    chosen = [told(one) for one in found]
    facts["selected"] = {key: ", ".join(values[key] for values in chosen) for key in chosen[0]}
    facts |= {"family": first.facts["family"], "by_net": [100 * one.mean for one in found]}
    facts["diverged"] = study.diverged(found)
    return Report(first.method, np.mean([one.scores for one in found], 0), first.protocol, facts)


def told(one: Report) -> dict[str, str]:
    """What was selected, and where that is an end of what was tried."""
    ends = at_an_end(one.facts)
    return {
        key: f"{value} ({ends[key]} tried)" if key in ends else str(value)
        for key, value in one.facts["selected"].items()
    }


def by_net(one: Report, other: Report) -> list[float]:
    """The difference of each net alone, in points."""
    return [a - b for a, b in zip(one.facts["by_net"], other.facts["by_net"], strict=True)]
