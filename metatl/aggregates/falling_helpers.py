"""Helpers whose weight falls while the main task is learned."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.aggregates.weighing import Weighing
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class FallingHelpers(Weighing):
    """L_0 + w sum over i > 0 of L_i, w = start * max(0, 1 - t / steps): the first loss is the main task's.

    t counts steps from 0. Helpers shape the weights early; from step `steps` on the main task alone is
    learned, and a helper that points elsewhere costs the end of the run nothing. Source: a linear form of
    the annealed helpers of Mordan et al. 2018, arXiv 1810.08024, and of curricula over losses.

    Args:
        steps: after which helpers count no more.
        start: weight of every helper at the first step, 0 or more.
    """

    steps: int
    start: float = 1.0

    def __post_init__(self) -> None:
        """Raise MetatlError for fewer steps than 1, and for a weight below 0."""
        if self.steps < 1 or not 0.0 <= self.start < math.inf:
            raise MetatlError(
                f"FallingHelpers: steps is {self.steps}, start {self.start}; give 1 or more, and a number, "
                "0 or more"
            )

    def weigh(self, losses: Tensor, state: Params, there: Tensor | None = None) -> tuple[Tensor, Params]:
        """Weights [k]: 1 for the main loss, then what is left of the helpers'; state: steps done."""
        step = int(state.get("step", torch.zeros((), dtype=torch.int64)))
        weights = torch.full((len(losses),), self.start * max(0.0, 1.0 - step / self.steps))
        weights[0] = 1.0
        return weights, {"step": torch.tensor(step + 1)}
