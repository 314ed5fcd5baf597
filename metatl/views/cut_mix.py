"""Pictures with a piece of another."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from metatl import tree
from metatl.data.counter import number
from metatl.types import Batch
from metatl.views.view import View, check_alpha, check_unweighted, partner, pictures, share_of


@dataclass(frozen=True)
class CutMix(View):
    """A box of x is that of x', the batch in another order; y <- kept y + (1 - kept) y'.

    kept: the share of pixels that are still x's. The box has sides sqrt(1 - lambda) of the picture's, around
    a random pixel, and ends at the picture's edge; lambda ~ Beta(alpha, alpha), one box a batch.
    Source: Yun et al. 2019, arXiv 1905.04899.

    Args:
        alpha: of the Beta distribution.
        probability: that a batch is mixed.
    """

    alpha: float = 1.0
    probability: float = 1.0
    soft = True

    def __post_init__(self) -> None:
        """Refuse an alpha that is not above 0."""
        super().__post_init__()
        check_alpha(self, self.alpha)

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The mixed pictures and targets; raises MetatlError for rows with weights."""
        share = share_of(key, self.alpha, self.probability)
        if share == 1.0:
            return batch
        check_unweighted(self, batch)
        x = pictures(self, batch.x)
        other = partner(key, len(x), x.device)
        height, width = x.shape[-2:]
        top, bottom, left, right = _box(key, share, height, width)
        down, along = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
        inside = ((down >= top) & (down < bottom))[:, None] & ((along >= left) & (along < right))
        kept = 1.0 - (bottom - top) * (right - left) / (height * width)

        def mixed(leaf: Tensor) -> Tensor:
            return kept * leaf + (1.0 - kept) * leaf[other]

        return Batch(torch.where(inside, x[other], x), tree.apply(mixed, batch.y))


def _box(key: int, share: float, height: int, width: int) -> tuple[int, int, int, int]:
    """Rows top .. bottom - 1 and columns left .. right - 1."""
    draw, side = Random(number(key, 2)), (1.0 - share) ** 0.5
    tall, broad = int(height * side), int(width * side)
    y, x = draw.randrange(height), draw.randrange(width)
    ends = (y - tall // 2, y - tall // 2 + tall, x - broad // 2, x - broad // 2 + broad)
    return max(ends[0], 0), min(ends[1], height), max(ends[2], 0), min(ends[3], width)
