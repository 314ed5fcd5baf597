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
    mean, half, _ = interval(point.units)
    to_plain, to_plain_half, _ = interval(point.units - plain.units)
    told = {"mask": point.mask, "density": point.share, "keep": point.keep, "accuracy": mean, "ci95": half}
    told |= {"to_fine_tune": to_plain, "to_fine_tune_ci95": to_plain_half, "delta": point.delta}
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
    tests = [interval(by[a, share].units - by[b, share].units) for a, b, share in pairs]
    return [
        {"mask": a, "against": b, "density": share, "difference": mean, "ci95": half, "p": p}
        for (a, b, share), (mean, half, _), p in zip(
            pairs, tests, compare.holm([p for _, _, p in tests]), strict=True
        )
    ]


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, half of its 95 % interval by Student's t with n - 1 degrees, two-sided p of mean 0."""
    test = compare.paired(values, np.zeros(len(values)))
    low, high = 1.9, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if compare.t_two_sided(middle, len(values) - 1) > 0.05 else (low, middle)
    return test.mean, test.ci95 / 1.96 * low, test.p


def within(arms: Sequence[NDArray[np.float64]]) -> list[float]:
    """Half a 95 % interval of every arm, without what all arms share of a unit.

    Every unit's mean over arms is taken away; the intervals grow by sqrt(arms / (arms - 1)) for that.
    Sources: Cousineau 2005, Morey 2008 (Tutorials in Quantitative Methods for Psychology 1(1) and 4(2)).
    """
    values = np.array(arms)
    own = values - values.mean(0)
    grown = np.sqrt(len(values) / (len(values) - 1))
    return [float(grown * interval(arm)[1]) for arm in own]
