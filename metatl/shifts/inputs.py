"""Does P(X) differ? By a classifier of the domain, and by the maximum mean discrepancy."""

from __future__ import annotations

import math

import numpy as np

from metatl.shifts.classifier import bent, divided, median_distance, probabilities
from metatl.shifts.tested import PERMUTATIONS, Rows, Tested, permuted

MOST = 500
"""Rows of each domain between which distances are taken."""


def ordered(source: Rows, target: Rows) -> tuple[float, float, float]:
    """U of the target's scores against the source's, its mean and its variance where they are alike.

    U counts pairs in which the target's score is larger, ties as half (Mann & Whitney 1947); the variance
    is that with ties.
    """
    from scipy.stats import rankdata  # takes a while to import

    m, n = len(source), len(target)
    both = np.concatenate([source, target])
    u = float(rankdata(both)[m:].sum()) - n * (n + 1) / 2
    _, ties = np.unique(both, return_counts=True)
    total = m + n
    spread = m * n / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    return u, m * n / 2, spread


def upper(z: float) -> float:
    """P(N(0, 1) >= z)."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def scored(source: Rows, target: Rows, draw: np.random.Generator) -> tuple[Rows, Rows]:
    """P(target) of a half of each domain, by a classifier of the domain that was fitted to the others."""
    both = bent(np.concatenate([source, target]), draw)
    of = np.repeat([0, 1], [len(source), len(target)])
    judge = divided(of, 2, draw) == 1
    found = probabilities(both[~judge], of[~judge], 2, both[judge])[:, 1]
    return found[of[judge] == 0], found[of[judge] == 1]


def classified(source: Rows, target: Rows, draw: np.random.Generator) -> Tested:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017), with the area under the curve for accuracy.

    A classifier of the domain is fitted to half of the rows; p: one-sided, of Mann and Whitney's U on the
    other half, which needs no equal numbers of rows and no threshold.
    """
    theirs, ours = scored(source, target, draw)
    u, mean, spread = ordered(theirs, ours)
    p = upper((u - mean - 0.5) / math.sqrt(spread)) if spread > 0 else 1.0
    area = u / (2 * mean)
    return Tested("classifier", "P(X)", p, area, "AUROC, 0.5 alike", (len(theirs), len(ours)))


def discrepancy(kernel: Rows, sides: Rows) -> Rows:
    """Unbiased MMD squared [b] of divisions `sides` [b, n], 1 for the target (Gretton et al. 2012).

    Mean of k(x, x') over pairs of different rows of the source, plus that of the target, minus twice that
    between them; kernel [n, n].
    """
    own = np.diagonal(kernel)
    n = sides.sum(1)
    m = sides.shape[1] - n
    inside, all_of = sides @ kernel, kernel.sum(1)
    both = (inside * sides).sum(1)
    between = sides @ all_of - both
    rest = all_of.sum() - both - 2 * between
    theirs = (rest - ((1 - sides) @ own)) / (m * (m - 1))
    ours = (both - sides @ own) / (n * (n - 1))
    return theirs + ours - 2 * between / (m * n)


def kernel_of(rows: Rows) -> Rows:
    """exp(-d squared / 2 s squared), s the median distance, [n, n]."""
    square = (rows**2).sum(1)
    distance = np.maximum(square[:, None] + square[None] - 2 * rows @ rows.T, 0)
    return np.exp(-distance / (2 * median_distance(rows) ** 2))


def mean_discrepancy(source: Rows, target: Rows, draw: np.random.Generator) -> Tested:
    """Permutation test of the maximum mean discrepancy, on at most 500 rows of each domain.

    effect: MMD over what k(x, x) = 1 allows at most, sqrt(2).
    """
    one, other = (x[draw.permutation(len(x))[:MOST]] for x in (source, target))
    kernel, n = kernel_of(np.concatenate([one, other])), len(other)
    sides = np.zeros((1 + PERMUTATIONS, len(one) + n))
    sides[:, len(one) :] = 1
    sides[1:] = draw.permuted(sides[1:], axis=1)
    found = discrepancy(kernel, sides)
    effect = math.sqrt(max(found[0], 0.0) / 2)
    p = permuted(float(found[0]), found[1:])
    return Tested("mean discrepancy", "P(X)", p, effect, "MMD, 0 alike, 1 at most", (len(one), n))
