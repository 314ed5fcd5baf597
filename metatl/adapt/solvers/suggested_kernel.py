"""A kernel's scale, length and noise as the rows at hand suggest them."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.adapt.solvers.evidence import best_noise, widened
from metatl.adapt.solvers.process import Hyperparameters, Kernel, kernel_of
from metatl.adapt.solvers.solver import columns, row_weights


def suggested(
    kind: Kernel, noise: float, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None
) -> Hyperparameters:
    """l^2 half of the mean squared distance of features [n, d]; of classes c = 1, s = noise, mean 0.

    Every real output has a mean, c and s of its own, with one c / s: those under which all are likeliest,
    c and s widened by what is not known of them.
    """
    x = features.double()
    centre = x.mean(0) if len(x) > 1 else torch.zeros_like(x.sum(0))
    square = (x - centre).square().sum(-1).sum() / max(len(x) - 1, 1)  # half of the mean over pairs
    length = torch.where(square > 0, square, torch.ones_like(square)).sqrt()
    one = torch.ones_like(length)
    if not y.is_floating_point():
        return Hyperparameters(one, length, noise * one, 0 * one)
    counts, target = row_weights(features, weight), columns(y, outputs).double()
    ratio, found = best_noise(kernel_of(kind, x, x, one, length), target, counts)
    wide = widened(found, counts.sum() - 1)
    mean = counts @ target / counts.sum().clamp_min(1e-300)
    return Hyperparameters(wide.mean() / ratio, length, wide, mean)
