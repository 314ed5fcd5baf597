"""All tests on a pair of domains, corrected for their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metatl.evaluation.statistics import holm
from metatl.shifts.classifier import reduced
from metatl.shifts.conditional import conditional, within_classes
from metatl.shifts.inputs import classified, mean_discrepancy
from metatl.shifts.targets import LabelShift, counts_differ, estimated
from metatl.shifts.tested import Labels, Rows, Tested

MOST = 4000
"""Rows of a domain that are looked at, at most; drawn at random."""


@dataclass(frozen=True)
class Compared:
    """Tests with their corrected p (Holm), the label shift estimated without the target's labels, and areas.

    areas: AUROC of the domain inside each class; x: the two domains' principal directions.
    """

    tests: tuple[Tested, ...]
    corrected: tuple[float | None, ...]
    estimate: LabelShift | None
    areas: dict[int, float]
    x: tuple[Rows, Rows] | None

    def differs(self, question: str, level: float = 0.05) -> bool | None:
        """Whether a test of this question is below the level; None where none could be asked."""
        found = [p for test, p in zip(self.tests, self.corrected, strict=True) if test.question == question]
        known = [p for p in found if p is not None]
        return any(p < level for p in known) if known else None


def compared(
    source: Rows | None,
    target: Rows | None,
    y: Labels | None,
    y_target: Labels | None,
    classes: int,
    seed: int = 0,
) -> Compared:
    """What differs between rows source [n, d] and target [m, d] with classes y [n] and y_target [m].

    Labels are -1 where they are not known, None where none is; numbers are None where the feature spaces have
    nothing in common, and then labels alone are compared. Tests of P(X): classifier and mean discrepancy; of
    P(Y): counts, or without target labels the classes that a source classifier names (Lipton et al. 2018);
    of P(X given Y) and P(Y given X): with labels on both sides.
    """
    draw, tests = np.random.default_rng(seed), list[Tested]()
    estimate, areas, x = None, dict[int, float](), None
    if source is not None and target is not None:
        one, other = draw.permutation(len(source))[:MOST], draw.permutation(len(target))[:MOST]
        y, y_target = (v if v is None else v[at] for v, at in ((y, one), (y_target, other)))
        x = reduced(source[one], target[other])
        tests += [classified(*x, draw), mean_discrepancy(*x, draw)]
        if y is not None:
            own = int(y.max()) + 1  # the target's own classes come last
            estimate = estimated(x[0][y >= 0], y[y >= 0], own, x[1], draw)
    if y is not None and y_target is not None:
        theirs, ours = y[y >= 0], y_target[y_target >= 0]
        tests.append(counts_differ("labels", theirs, ours, classes, draw))
        if x is not None:
            sides = (x[0][y >= 0], theirs), (x[1][y_target >= 0], ours)
            inside, areas = within_classes(*sides, draw)
            tests += [inside, conditional(*sides, classes, draw)]
    elif estimate is not None:
        named = "labels as the source's classifier names them"
        tests.append(counts_differ(named, estimate.source, estimate.predicted, classes, draw))
    return Compared(tuple(tests), tuple(holm([test.p for test in tests])), estimate, areas, x)
