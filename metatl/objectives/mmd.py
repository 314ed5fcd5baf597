"""Maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.objectives.term import FEATURES, Seen, Term, layer_of
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class MMD(Term):
    """weight * MMD^2 of source and target rows, under a sum of Gaussian kernels.

        k(x, y) = mean over b in bandwidths of exp(-|x - y|^2 / (2 b m)),  m the mean of |x - y|^2

    m is taken over both domains together, by weight, and is a constant of the gradient. unbiased: within a
    domain the mean over pairs of different rows, sum over i != j of k / (n (n - 1)), which may be negative
    and is 0 on average where domains are alike; a domain of one row has no such pairs, and 1 for their mean.
    Otherwise over all pairs, which is never negative, and 0 for the same rows. Labels are not looked at.
    Sources: Gretton et al. 2012 (JMLR 13); Long et al. 2015 (DAN, on several layers), arXiv 1502.02791.

    Args:
        weight: factor of the term.
        bandwidths: of the kernels, as shares of the mean squared distance.
        unbiased: whether a row's distance to itself is left out.
        layer: what is compared: the `features` before the output layer, the `output`, or what goes into
            the linear layer of this name.
    """

    weight: float = 1.0
    bandwidths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    unbiased: bool = True
    layer: str = FEATURES

    streams = ("source", "target")

    def __post_init__(self) -> None:
        """Raise MetatlError for bandwidths that are none."""
        if not self.bandwidths or min(self.bandwidths) <= 0:
            raise MetatlError(f"MMD: bandwidths is {list(self.bandwidths)}; give numbers above 0")

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The squared discrepancy, 0-d."""
        x, y = (layer_of(seen.passes[name], self.layer) for name in self.streams)
        weights = [seen.batches[name].weight for name in self.streams]
        return self.weight * squared_discrepancy(x, y, self.bandwidths, self.unbiased, weights)


def squared_discrepancy(
    x: Tensor,
    y: Tensor,
    bandwidths: Sequence[float],
    unbiased: bool = True,
    weights: Sequence[Tensor | None] = (None, None),
) -> Tensor:
    """MMD^2 of rows x [m, d] and y [n, d], as `MMD` has it; a row of weight k is k rows."""
    both, m = torch.cat([x, y]), len(x)
    both = both - both.detach().mean(0)  # far from 0 the distances would be lost in rounding
    square = both.square().sum(1)
    distance = (square[:, None] + square - 2 * both @ both.T).clamp(min=0)
    counts = [rows.new_ones(len(rows)) if w is None else w for rows, w in zip((x, y), weights, strict=True)]
    share = torch.cat(counts) / torch.cat(counts).sum()
    mean = (share @ distance.detach() @ share).clamp(min=1e-30)
    kernel = sum(torch.exp(-distance / (2 * b * mean)) for b in bandwidths) / len(bandwidths)

    def mean_of(k: Tensor, a: Tensor, b: Tensor, within: bool) -> Tensor:
        if within and unbiased:  # k(x, x) = 1 for each of a row's own pairs with itself
            pairs = a.sum() * (a.sum() - 1)
            some = pairs > 0
            return torch.where(some, (a @ k @ b - a.sum()) / torch.where(some, pairs, 1), 1)
        return a @ k @ b / (a.sum() * b.sum())

    assert isinstance(kernel, Tensor)
    one, other = counts
    alike = mean_of(kernel[:m, :m], one, one, True) + mean_of(kernel[m:, m:], other, other, True)
    return alike - 2 * mean_of(kernel[:m, m:], one, other, False)
