"""Fixed weights."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass

from torch import Tensor

from metatl.aggregates.weighing import Weighing, numbers
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class Weighted(Weighing):
    """sum of w_i L_i over sum of w_i, with weights that stay.

    Tuned with as many runs as any other way gets, it is hard to beat: Xin et al. 2022, arXiv 2209.11379;
    Kurin et al. 2022, arXiv 2201.04122.

    Args:
        weights: one for each loss, in their order, 0 or more.
    """

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise MetatlError for weights that mean nothing."""
        if not all(0.0 <= one < math.inf for one in self.weights) or not any(self.weights):
            raise MetatlError(
                f"Weighted: weights is {list(self.weights)}; give finite numbers, 0 or more, not all 0"
            )

    def weigh(self, losses: Tensor, state: Params, there: Tensor | None = None) -> tuple[Tensor, Params]:
        """The weights [k], which sum to 1."""
        found = numbers(self, "weights", self.weights, len(losses))
        return found / found.sum(), {}
