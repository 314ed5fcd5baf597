"""Mean, variance and principal directions of many rows that are never in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from metatl import tree
from metatl.types import Params, Transfer

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


def spread(columns: Callable[[], Iterator[Tensor]], good: Tensor, k: int, about_zero: bool = False) -> Spread:
    """The spread of the rows that are `good` [N]; columns: gives [N, some] after [N, some], twice.

    about_zero: the mean counts as 0, so that E[d d'] stands in the place of the covariance.

    The Gram matrix of the centred rows (N x N) is summed over columns; its eigenvectors v of eigenvalue l
    give the directions X' v / sqrt(N), whose square norm is l / N, and are exact.
    """
    count = int(good.sum())
    gram = torch.zeros(count, count, dtype=torch.float64)
    for rows in _centred(columns, good, about_zero):
        gram += rows @ rows.T
    values, vectors = torch.linalg.eigh(gram)
    kept = (values.flip(0)[:k] > _NOTHING * values.max().clamp_min(1e-300)).double()
    mixing = torch.zeros(k, count, dtype=torch.float64)
    mixing[: len(kept)] = vectors.flip(1).T[:k] * kept[:, None] / max(count, 1) ** 0.5
    means = [_middle(rows[good], about_zero) for rows in columns()]
    parts = [(mixing @ rows, rows.square().mean(0)) for rows in _centred(columns, good, about_zero)]
    directions, variance = zip(*parts, strict=True)
    return Spread(torch.cat(means), torch.cat(directions, 1), torch.cat(variance))


def _centred(columns: Callable[[], Iterator[Tensor]], good: Tensor, about_zero: bool) -> Iterator[Tensor]:
    for rows in columns():
        yield rows[good] - _middle(rows[good], about_zero)


def _middle(rows: Tensor, about_zero: bool) -> Tensor:
    return torch.zeros_like(rows[0]) if about_zero else rows.mean(0)


def named(rows: Tensor, like: Params) -> Params:
    """[..., numbers] as named weights, [..., *shape] each."""
    parts = rows.split([leaf.numel() for leaf in like.values()], -1)
    return {
        name: part.reshape((*rows.shape[:-1], *leaf.shape))
        for (name, leaf), part in zip(like.items(), parts, strict=True)
    }


def as_memory(found: Spread, like: Params) -> Params:
    """`<role>.<weight>` of a spread, in the types of the weights."""
    return {
        f"{role}.{name}": part.to(like[name])
        for role, whole in found._asdict().items()
        for name, part in named(whole, like).items()
    }


def in_place(transfer: Transfer, found: Spread, like: Params) -> Transfer:
    """The transfer with these directions; they are as long as its own ones where it carries some.

    Its mean and variance stay then too, so that nothing differs but where the directions point.
    """
    new, held = as_memory(found, like), transfer.memory
    before = {name: held[key] for name in like if (key := f"directions.{name}") in held}
    if not before:
        return replace(transfer, memory={**held, **new})
    rows, old = (
        torch.cat([tree.lines(leaf) for leaf in of.values()], 1)
        for of in ({name: new[f"directions.{name}"] for name in like}, before)
    )
    k = min(len(rows), len(old))
    sizes = old[:k].norm(dim=1) / rows[:k].norm(dim=1).clamp_min(1e-30)
    turned = named(rows[:k] * sizes[:, None], like)
    return replace(transfer, memory={**new, **held, **{f"directions.{n}": t for n, t in turned.items()}})
