"""Does P(X given Y) differ? Does P(Y given X)?"""

from __future__ import annotations

import math

import numpy as np

from metatl.shifts.classifier import bent, unseen
from metatl.shifts.inputs import ordered, scored, upper
from metatl.shifts.tested import PERMUTATIONS, Labels, Rows, Tested, permuted

FEWEST = 10
"""Rows of a class on either side below which its classifier of the domain says nothing."""
PARTS = 5


def within_classes(
    source: tuple[Rows, Labels], target: tuple[Rows, Labels], draw: np.random.Generator
) -> tuple[Tested, dict[int, float]]:
    """The classifier two-sample test inside every class that both have, and its area in each.

    p: one-sided, of the sum over classes of U - E U over the root of the summed variances (van Elteren
    1960, with weights 1). effect: mean area, weighted by pairs.
    """
    found: dict[int, tuple[float, float, float]] = {}
    rows = [0, 0]
    for one in np.intersect1d(source[1], target[1]).tolist():
        sides = source[0][source[1] == one], target[0][target[1] == one]
        if min(map(len, sides)) >= FEWEST:
            theirs, ours = scored(*sides, draw)
            found[one] = ordered(theirs, ours)
            rows = [rows[0] + len(theirs), rows[1] + len(ours)]
    measure = "AUROC within classes, 0.5 alike"
    if not found:
        why = f"no class has {FEWEST} rows on both sides"
        return Tested("within classes", "P(X given Y)", None, None, measure, why=why), {}
    u, mean, spread = (sum(part) for part in zip(*found.values(), strict=True))
    p = upper((u - mean) / math.sqrt(spread)) if spread > 0 else 1.0
    areas = {one: u_c / (2 * mean_c) for one, (u_c, mean_c, _) in found.items()}
    area = u / (2 * mean)
    return Tested("within classes", "P(X given Y)", p, area, measure, (rows[0], rows[1])), areas


def conditional(
    source: tuple[Rows, Labels], target: tuple[Rows, Labels], classes: int, draw: np.random.Generator
) -> Tested:
    """Whether the domain tells of y what x does not: products of residuals, summed over directions of x.

    r = d - P(d given x) and e = 1[y] - P(y given x), both by classifiers that did not see the row; the
    statistic is the largest |mean| / deviation of r e_c over classes c, and of r e_c x_k over inputs k:
    the score test of adding the domain and its interactions to a regression of y, whose error is the
    product of both classifiers' errors (the generalised covariance measure, Shah & Peters 2020; weighted
    by x, Scheidegger, Hörrmann & Bühlmann 2022). p: from signs drawn for every row. effect: the largest
    correlation.
    """
    x = np.concatenate([source[0], target[0]])
    y = np.concatenate([source[1], target[1]])
    d = np.repeat([0, 1], [len(source[1]), len(target[1])])
    wide = bent(x, draw)
    apart = d - unseen(wide, d, 2, PARTS, draw)[:, 1]
    left = np.eye(classes)[y] - unseen(wide, y, classes, PARTS, draw)
    weights = np.concatenate([np.ones((len(x), 1)), np.tanh(x)], 1)  # bounded: no single row decides
    products = (apart[:, None, None] * left[:, :, None] * weights[:, None]).reshape(len(x), -1)
    found, others = _largest(products, draw)
    measure = "correlation of what is left of domain and label, 0 alike"
    p = permuted(found, others)
    rows = (len(source[1]), len(target[1]))
    effect = found / math.hypot(found, math.sqrt(len(x)))  # mean over root mean square, at most 1
    return Tested("conditional", "P(Y given X)", p, effect, measure, rows)


def _largest(products: Rows, draw: np.random.Generator) -> tuple[float, Rows]:
    """max_k sqrt(n) |mean| / deviation of products [n, k], and the same with drawn multipliers [b]."""
    deviation = products.std(0)
    kept = products[:, deviation > 1e-12]
    if not kept.shape[1]:
        return 0.0, np.zeros(PERMUTATIONS)
    kept = kept / kept.std(0)
    signs = draw.normal(size=(PERMUTATIONS, len(kept)))
    root = math.sqrt(len(kept))
    others = np.abs(signs @ (kept - kept.mean(0))).max(1) / root
    return float(root * np.abs(kept.mean(0)).max()), others
