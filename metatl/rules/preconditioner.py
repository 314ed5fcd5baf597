"""Products of gradients with matrices that are made of displacements."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from metatl import tree
from metatl.types import Params


def longest(directions: Params) -> Tensor:
    """s_1: the largest length of a direction over all weights together, 0-d; directions [k, ...] each."""
    lengths = reduce(torch.add, (tree.lines(leaf).square().sum(1) for leaf in directions.values()))
    return lengths.max().clamp_min(1e-30).sqrt()


def along(grads: Params, directions: Params, rho: float) -> Params:
    """(rho I + V' V) g over all weights that have directions V [k, ...]."""
    shares = torch.stack([tree.lines(rows) @ grads[n].reshape(-1) for n, rows in directions.items()]).sum(0)
    return {
        n: rho * grads[n] + (shares @ tree.lines(rows)).view(grads[n].shape) for n, rows in directions.items()
    }


def between(grads: Params, left: Params, right: Params) -> Params:
    """L G R for every weight G [out, in ...] that has both sides."""
    return {
        n: (one @ grads[n].reshape(len(one), -1) @ right[n]).view(grads[n].shape) for n, one in left.items()
    }


def sides_of(rows: Tensor, rho: float) -> tuple[Tensor, Tensor]:
    """rho I + L / |L| and rho I + R / |R| of displacements [n, out, ...]; a vector has L alone, diagonal."""
    if rows.dim() < 3:
        power = tree.lines(rows).square().sum(0)
        return torch.diag(rho + power / power.max().clamp_min(1e-30)), torch.ones(1, 1).to(rows)
    rows = rows.flatten(2)
    return _side(rows.transpose(0, 1).flatten(1), rho), _side(rows.permute(2, 0, 1).flatten(1), rho)


def _side(rows: Tensor, rho: float) -> Tensor:
    product = rows @ rows.T
    largest = torch.linalg.eigvalsh(product)[-1].clamp_min(1e-30)
    return rho * torch.eye(len(rows)).to(rows) + product / largest
