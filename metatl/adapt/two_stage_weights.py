"""Row weights of two-stage TrAdaBoost.R2, and how they are judged."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metatl.adapt.boosted_regression import BoostedRegression, median
from metatl.types import Batch

MOST_FOLDS, HALVINGS = 5, 60


def held_out(way: BoostedRegression, rows: Batch, weight: Tensor, n: int) -> float:
    """The mean squared error on target rows left out in folds, under weights [n + m]; endless for m = 1."""
    m = len(rows.x) - n
    fold, total = torch.arange(m) % min(MOST_FOLDS, m), 0.0
    if m < 2:
        return math.inf
    for one in fold.unique():
        held = torch.cat([torch.zeros(n, dtype=torch.bool), fold == one])
        inside = Batch(rows.x[~held], rows.y[~held])
        found, votes = way.boosted(inside, weight[~held], n)
        told = median(way.base, found, torch.tensor(votes, dtype=torch.float64), rows.x[held])
        total += float((told - rows.y[held]).square().sum())
    return total / m


def weight_of(n: int, m: int) -> Tensor:
    """The target alone: [n + m], 0 for the n source rows."""
    return torch.cat([torch.zeros(n), torch.ones(m)]).double() / m


def shrunk(weight: Tensor, error: Tensor, n: int, share: float) -> Tensor:
    """weight [n + m] with the target's share raised to this one: w <- w beta^e of the n source rows."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        beta = (low + high) / 2
        source = weight[:n] * beta ** error[:n]
        if float(weight[n:].sum() / (source.sum() + weight[n:].sum())) > share:
            low = beta
        else:
            high = beta
    source = weight[:n] * high ** error[:n] if share < 1 else torch.zeros(n, dtype=torch.float64)
    found = torch.cat([source, weight[n:]])
    return found / found.sum()
