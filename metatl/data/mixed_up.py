"""Mixup of two domains at a fixed ratio."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.data.bridge import Bridge
from metatl.types import MetatlError


@dataclass(frozen=True)
class MixedUp(Bridge):
    """x = share x_S + (1 - share) x_T at a fixed share.

    FixBi has one bridge at 0.7, near the source, and one at 0.3, near the target. Source: Na, Jung, Chang &
    Hwang 2021, arXiv 2011.09230.

    Args:
        size: rows a step.
        share: of the source, 0 to 1.
    """

    share: float = 0.7

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0.0 <= self.share <= 1.0:
            raise MetatlError(f"MixedUp: share is {self.share}; give a value from 0 to 1")

    def mixed(self, key: int, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of both rows [n, *shape] at this share."""
        share = source.new_full((len(source),), self.share)
        return self.share * source + (1.0 - self.share) * target, share
