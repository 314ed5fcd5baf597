"""Random loss weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.aggregates.weighing import Weighing
from metatl.types import Params


@dataclass(frozen=True)
class RandomWeights(Weighing):
    """w = softmax of k standard normal numbers, drawn anew every step: the control of whatever weighs losses.

    Source: Lin et al. 2022, arXiv 2111.10603.
    """

    def init(self, key: int) -> Params:
        """The key, and how many were drawn."""
        return {"drawn": torch.tensor([key, 0], dtype=torch.int64)}

    def weigh(self, losses: Tensor, state: Params, there: Tensor | None = None) -> tuple[Tensor, Params]:
        """The step's own weights [k]."""
        drawn = state.get("drawn", torch.zeros(2, dtype=torch.int64))
        key, count = (int(part) for part in drawn)
        generator = torch.Generator().manual_seed(1_000_003 * key + count)
        found = torch.randn(len(losses), generator=generator, dtype=torch.float64).softmax(0)
        return found, {"drawn": drawn + torch.tensor([0, 1])}
