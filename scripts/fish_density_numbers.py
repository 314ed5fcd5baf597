"""The statistics of fish_density.py: intervals and paired tests over episodes, or over people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation import compare

PLAIN, HEAD = "fine-tune", "head-only"
PAIRS = (
    ("fish-support", "random"),
    ("fish-support", "magnitude"),
    ("fish-support", "fish-source"),
    ("fish-support", "fish-support-true"),
    ("fish-source", "fish-source-true"),
    ("fish-source", "random"),
    ("fish-source", "magnitude"),
    ("fish-support", HEAD),
    ("fish-support", PLAIN),
)


def summary(point: Any, plain: Any) -> dict[str, Any]:
    """A mask at a density, over units: accuracy, its difference to fine-tuning, what it costs to store."""
    own, to_plain = compare.estimate(point.units), compare.paired(point.units, plain.units)
    told = {"mask": point.mask, "density": point.share, "keep": point.keep}
    told |= {"accuracy": own.mean, "ci95": own.ci95, "delta": point.delta}
    told |= {"to_fine_tune": to_plain.mean, "to_fine_tune_ci95": to_plain.ci95}
    return {**told, "selected": point.report.facts["selected"]}


def lookup(points: Sequence[Any]) -> tuple[dict[tuple[str, float], Any], list[float]]:
    """Points by mask and density, and the densities; head-only and fine-tuning stand at each of them."""
    shares = sorted({point.share for point in points} - {0.0, 1.0})
    by = {(point.mask, point.share): point for point in points}
    ends = [point for point in points if point.mask in (PLAIN, HEAD)]
    return by | {(point.mask, share): point for point in ends for share in shares}, shares


def contrasts(points: Sequence[Any]) -> list[dict[str, Any]]:
    """The pairs that there are at every density, over units, Holm-corrected over all of them."""
    by, shares = lookup(points)
    pairs = [(a, b, s) for a, b in PAIRS for s in shares if (a, s) in by and (b, s) in by]
    tests = [compare.paired(by[a, share].units, by[b, share].units) for a, b, share in pairs]
    corrected = compare.holm([test.p for test in tests])
    return [
        {"mask": a, "against": b, "density": share, "difference": test.mean, "ci95": test.ci95, "p": p}
        for (a, b, share), test, p in zip(pairs, tests, corrected, strict=True)
    ]


def within(arms: Sequence[NDArray[np.float64]]) -> list[float]:
    """Half a 95 % interval of every arm, without what all arms share of a unit.

    Every unit's mean over arms is taken away; the intervals grow by sqrt(arms / (arms - 1)) for that.
    Sources: Cousineau 2005, Morey 2008 (Tutorials in Quantitative Methods for Psychology 1(1) and 4(2)).
    """
    values = np.array(arms)
    own = values - values.mean(0)
    grown = np.sqrt(len(values) / (len(values) - 1))
    return [float(grown * (compare.estimate(arm).ci95 or 0.0)) for arm in own]
