"""A Gaussian process that has seen its rows."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers.solver import as_features, columns, is_wide, row_weights

JITTER = 1e-6
"""Share of the kernel's mean diagonal that is added to the noise: rows that are the same have an inverse."""

Kernel = Literal["rbf", "linear", "cosine"]


class Hyperparameters(NamedTuple):
    """c, l, s and the mean, 0-d each, float64; noise, mean [outputs] where every output has its own.

    Then c is that beside the mean of the s, and that of an output is to c as its s to that mean.
    """

    scale: Tensor
    length: Tensor
    noise: Tensor
    mean: Tensor


class Process(NamedTuple):
    """rows [n, d], root weights [n], factor [n, n] of kernel and noise, solved [n, outputs], the kernel.

    scale, length: 0-d; noise, mean: 0-d, or [outputs]; labels: 1 where targets were +1 and -1, else 0.
    """

    rows: Tensor
    root: Tensor
    factor: Tensor
    solved: Tensor
    scale: Tensor
    length: Tensor
    noise: Tensor
    mean: Tensor
    labels: Tensor


def kernel_of(kind: Kernel, a: Tensor, b: Tensor, scale: Tensor, length: Tensor) -> Tensor:
    """[n, m] of rows a [n, d] and b [m, d]."""
    if kind == "cosine":
        a, b = (x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12) for x in (a, b))
    if kind != "rbf":
        return scale * (a @ b.T)
    square = a.square().sum(-1, keepdim=True) - 2 * a @ b.T + b.square().sum(-1)
    return scale * (-square.clamp_min(0.0) / (2 * length.square())).exp()


def targets(y: Tensor, outputs: int, mean: Tensor) -> Tensor:
    """What a process with mean 0 is fitted to, [n, outputs]: real values less the mean, classes +1 and -1."""
    found = columns(y, outputs)
    return found - mean if is_wide(y) else 2 * found - 1


def seen(
    kind: Kernel, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None, own: Hyperparameters
) -> Process:
    """The process that has seen features [n, d] with their targets; by Cholesky in float64."""
    rows, root = features.double(), row_weights(features, weight).sqrt()
    labels = torch.full_like(own.scale, float(not y.is_floating_point()))
    mean = torch.zeros_like(own.mean) if not y.is_floating_point() else own.mean
    kernel = root.unsqueeze(-1) * kernel_of(kind, rows, rows, own.scale, own.length) * root
    shown = kernel.diagonal().mean() if len(rows) else torch.zeros_like(own.scale)
    eye = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    factor = torch.linalg.cholesky(kernel + (own.noise.mean() + JITTER * shown) * eye)
    target = targets(y, outputs, mean) * root.unsqueeze(-1)
    solved = torch.cholesky_solve(target, factor)
    held = rows, root, factor, solved, own.scale, own.length, own.noise, mean, labels
    return Process(*(as_features(features, value) for value in held))


def evidence_of(fitted: Process, y: Tensor, outputs: int) -> Tensor:
    """log N(y; mean, K + s) summed over outputs, 0-d; y of the rows that it has seen."""
    target = targets(y, outputs, fitted.mean)
    half = fitted.factor.diagonal().log().sum() + len(target) * math.log(2 * math.pi) / 2
    return -(target * fitted.root.unsqueeze(-1) * fitted.solved).sum() / 2 - outputs * half


def across(kind: Kernel, fitted: Process, features: Tensor) -> Tensor:
    """The kernel of features [m, d] and the rows that were seen, by the roots of their weights: [m, n]."""
    own = fitted.scale.double(), fitted.length.double()
    return kernel_of(kind, features.double(), fitted.rows.double(), *own) * fitted.root.double()


def variance(kind: Kernel, fitted: Process, features: Tensor, near: Tensor) -> Tensor:
    """Of the target of features [m, d], the mean noise included; near: their `across`. [m, 1]."""
    z, scale = features.double(), fitted.scale.double()
    own = scale * (z.square().sum(-1) if kind == "linear" else torch.ones_like(z[:, 0]))
    known = torch.linalg.solve_triangular(fitted.factor.double(), near.T, upper=False).square().sum(0)
    return ((own - known).clamp_min(0.0) + fitted.noise.double().mean()).unsqueeze(-1)
