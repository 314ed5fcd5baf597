"""CutMix of two domains: a piece of the source in a row of the target."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from metatl.data.bridge import Bridge
from metatl.data.counter import number
from metatl.types import MetatlError


@dataclass(frozen=True)
class CutAcross(Bridge):
    """x = M x_S + (1 - M) x_T: of a picture M is a box, of columns a block of neighbouring ones.

    The box has the share `area` of the pixels up to rounding: height h area^u, width w area^(1 - u),
    u ~ U(0, 1), anywhere inside the picture, a new one for every row; a block of a row of columns has
    round(area d) of them. A row's share is that of M, after rounding. Source: the coarse path of Chen et al.
    2022, arXiv 2209.07695 (DDB), where the area is 0.4.

    Args:
        size: rows a step.
        area: share of the row that is the source's, above 0 and below 1.
    """

    area: float = 0.4

    def __post_init__(self) -> None:
        """Refuse an area that is none."""
        if not 0.0 < self.area < 1.0:
            raise MetatlError(f"CutAcross: area is {self.area}; give a share above 0 and below 1")

    def mixed(self, key: int, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Target rows with a piece of the source's; raises MetatlError for rows that are no such thing."""
        if source.dim() not in (2, 4):
            raise MetatlError(
                "CutAcross cuts pictures [channels, h, w] and columns [d]; the rows are neither"
            )
        masks = [self._mask(Random(number(key, i)), source.shape) for i in range(len(source))]
        inside = torch.stack(masks).to(source.device)
        share = inside.flatten(1).to(source.dtype).mean(1)
        return torch.where(inside, source, target), share

    def _mask(self, draw: Random, shape: torch.Size) -> Tensor:
        """[1, h, w] or [d]: what of a row is the source's."""
        u = draw.random()
        shares = (self.area**u, self.area ** (1.0 - u)) if len(shape) == 4 else (self.area,)
        mask = torch.ones((), dtype=torch.bool)
        for side, share in zip(shape[-len(shares) :], shares, strict=True):
            long = min(max(round(share * side), 1), side)
            first, places = draw.randrange(side - long + 1), torch.arange(side)
            mask = mask[..., None] & ((places >= first) & (places < first + long))
        return mask[None] if len(shape) == 4 else mask
