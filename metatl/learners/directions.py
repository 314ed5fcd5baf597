"""Mean, variance and principal directions of many rows that are never in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

_NOTHING = 1e-12
"""Share of the largest eigenvalue below which one is rounding."""


class Spread(NamedTuple):
    """How N rows d of D numbers lie about their mean.

    mean: E[d] [D]; directions: U S as rows [k, D], the largest first: their outer products sum to what the
    best k directions tell of the covariance E[(d - E[d]) (d - E[d])'], rows of zeros where there are no more;
    variance: the covariance's diagonal [D].
    """

    mean: Tensor
    directions: Tensor
    variance: Tensor


def spread(columns: Callable[[], Iterator[Tensor]], good: Tensor, k: int) -> Spread:
    """The spread of the rows that are `good` [N]; columns: gives [N, some] after [N, some], twice.

    The Gram matrix of the centred rows (N x N) is summed over columns; its eigenvectors v of eigenvalue l
    give the directions X' v / sqrt(N), whose square norm is l / N, and are exact.
    """
    count = int(good.sum())
    gram = torch.zeros(count, count, dtype=torch.float64)
    for rows in _centred(columns, good):
        gram += rows @ rows.T
    values, vectors = torch.linalg.eigh(gram)
    kept = (values.flip(0)[:k] > _NOTHING * values.max().clamp_min(1e-300)).double()
    mixing = torch.zeros(k, count, dtype=torch.float64)
    mixing[: len(kept)] = vectors.flip(1).T[:k] * kept[:, None] / max(count, 1) ** 0.5
    means = [rows[good].mean(0) for rows in columns()]
    parts = [(mixing @ rows, rows.square().mean(0)) for rows in _centred(columns, good)]
    directions, variance = zip(*parts, strict=True)
    return Spread(torch.cat(means), torch.cat(directions, 1), torch.cat(variance))


def _centred(columns: Callable[[], Iterator[Tensor]], good: Tensor) -> Iterator[Tensor]:
    for rows in columns():
        yield rows[good] - rows[good].mean(0)
