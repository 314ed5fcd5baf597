"""A classifier of numbers that sees more than straight lines, and what it says of rows it did not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from metatl.adapt.solvers.logistic import LogisticRegression
from metatl.shifts.tested import Labels, Rows

DIRECTIONS = 16
"""Principal directions of both domains that are looked at, at most."""
BENDS = 48
"""Random Fourier features beside them."""
SOLVER = LogisticRegression(l2=0.01, scaled=True, iterations=100)


def reduced(source: Rows, target: Rows) -> tuple[Rows, Rows]:
    """Both domains' principal directions [n, at most 16], each of standard deviation 1 over all rows.

    Columns are standardised over both domains first, so that a row's domain plays no part in it.
    """
    both = np.concatenate([source, target])
    least = 1e-13 * np.abs(both).max(0)  # rounding of a constant column, in its own unit
    both = both - both.mean(0)
    both = both[:, both.std(0) > least]
    both = both / both.std(0)
    if both.shape[1] > DIRECTIONS:
        both = _principal(both)
    return both[: len(source)], both[len(source) :]


def _principal(rows: Rows) -> Rows:
    """The scores [n, 16] of centred rows, largest variance first, each of standard deviation 1."""
    from scipy.sparse.linalg import svds  # takes a while to import

    start = np.random.default_rng(0).normal(size=min(rows.shape))  # the same numbers every time
    found: Any = svds(rows, k=min(DIRECTIONS, min(rows.shape) - 1), v0=start)
    scores: Rows = found[0][:, np.argsort(-found[1])]
    return scores / np.maximum(scores.std(0), 1e-12)


def median_distance(rows: Rows, most: int = 300) -> float:
    """Median distance between rows, of at most so many of them, evenly spaced; 1 where all are one."""
    some = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
    square = ((some[:, None] - some[None]) ** 2).sum(-1)
    apart = square[np.triu_indices(len(some), 1)]
    return float(np.sqrt(np.median(apart))) if len(apart) and np.median(apart) > 0 else 1.0


def bent(rows: Rows, draw: np.random.Generator) -> Rows:
    """[n, d + 48]: the rows and cosines of random projections, whose products near an RBF kernel.

    sqrt(2 / m) cos(w x + b), w ~ N(0, 1 / median distance squared), b ~ U(0, 2 pi) (Rahimi & Recht 2007).
    """
    w = draw.normal(size=(rows.shape[1], BENDS)) / median_distance(rows)
    cosines = np.sqrt(2 / BENDS) * np.cos(rows @ w + draw.uniform(0, 2 * np.pi, BENDS))
    return np.concatenate([rows, cosines], 1)


def probabilities(rows: Rows, y: Labels, outputs: int, at: Rows) -> Rows:
    """P(class) [m, outputs] of rows `at` [m, d], from rows [n, d] of classes y; an absent class has 0."""
    fitted = SOLVER.fit(torch.from_numpy(rows), torch.from_numpy(y), outputs)
    return SOLVER.predict(fitted, torch.from_numpy(at)).softmax(1).numpy()


def divided(strata: Labels, parts: int, draw: np.random.Generator) -> Labels:
    """A part 0 .. parts - 1 for every row, at random, as many of every stratum in each as there can be."""
    found = np.zeros(len(strata), np.int64)
    for one in np.unique(strata):
        places = draw.permutation(np.flatnonzero(strata == one))
        found[places] = (np.arange(len(places)) + draw.integers(parts)) % parts
    return found


def unseen(rows: Rows, y: Labels, outputs: int, parts: int, draw: np.random.Generator) -> Rows:
    """P(class) [n, outputs] of every row by a classifier that was fitted to the other parts."""
    part, found = divided(y, parts, draw), np.zeros((len(rows), outputs))
    for one in range(parts):
        rest, here = part != one, part == one
        if here.any():
            found[here] = probabilities(rows[rest], y[rest], outputs, rows[here])
    return found
