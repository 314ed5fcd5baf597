"""The shapes between FISH's mask and GTL's min-max, as one formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.guides.shape import Shape, TopK
from metatl.types import Guide, MetatlError, Params


@dataclass(frozen=True)
class PowerLaw(Shape):
    """g = (m / max m)^power on the weights whose m is among the `density` largest of all, 0 on the others.

    power 0 is FISH's mask (TopK), power 1 at density 1 GTL's guide but for the subtracted minimum, power 1/2
    of squared displacements their root mean square. Where `mean` is given, g is then scaled to that mean over
    all weights, so that guides of different shape take steps of one average size.

    Args:
        power: exponent, 0 or more.
        density: share of all weights that may move, counted as TopK counts.
        scope: maximum of every `tensor`, or of all weights together (`global`).
        mean: of the guide over all weights; None leaves it as it comes.
    """

    power: float = 1.0
    density: float = 1.0
    scope: Literal["tensor", "global"] = "tensor"
    mean: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.power < 0 or (self.mean is not None and self.mean <= 0):
            raise MetatlError("PowerLaw: power must be 0 or more, mean above 0 (or left out)")
        TopK(self.density)

    def __call__(self, raw: Params, always: int = 0) -> Guide:
        """The guide, same shapes as raw."""
        kept = TopK(self.density)(raw, always)
        if self.scope == "global":
            g = tree.unflat(self._powered(tree.flat(raw)), raw)
        else:
            g = tree.map(self._powered, raw)
        g = tree.map(torch.mul, g, kept)
        if self.mean is None:
            return g
        # A statistic that is 0 wherever it is kept has no mean to scale.
        found = tree.flat(g).mean()
        return tree.scale(g, torch.where(found > 0, self.mean / found, torch.ones_like(found)))

    def _powered(self, m: Tensor) -> Tensor:
        high = m.max()
        # A tensor that no scout moved says nothing about its entries: all of them move alike, as in MinMax.
        return torch.where(high > 0, m / torch.where(high > 0, high, 1.0), torch.ones_like(m)).pow(self.power)
