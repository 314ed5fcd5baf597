"""Pictures shifted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from metatl.data.counter import number
from metatl.types import Batch, MetatlError
from metatl.views.view import View, chosen, draws, pictures


@dataclass(frozen=True)
class Crop(View):
    """Each picture padded by its own edge and cut out again at a random place, at its size.

    Args:
        padding: pixels on every side, hence the largest shift.
        probability: that a picture is shifted.
    """

    padding: int = 4
    probability: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a padding below 1."""
        super().__post_init__()
        if self.padding < 1:
            raise MetatlError(f"Crop: padding is {self.padding}; give 1 pixel or more")

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The pictures; targets stay."""
        x = pictures(self, batch.x)
        n, (height, width) = len(x), x.shape[-2:]
        wide = F.pad(x, [self.padding] * 4, mode="replicate")
        moves = (draws(number(key, 1), x, 2, n) * (2 * self.padding + 1)).long().unsqueeze(-1)
        down = moves[0] + torch.arange(height, device=x.device)
        right = moves[1] + torch.arange(width, device=x.device)
        each = torch.arange(n, device=x.device)[:, None, None]
        cut = wide[each, :, down[:, :, None], right[:, None, :]].movedim(-1, 1)
        return batch._replace(x=torch.where(chosen(key, x, self.probability), cut, x))
