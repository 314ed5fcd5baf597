"""Helpers whose gradients count only where they agree with the main task's."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metatl.aggregates.gramian import GramianAggregate, Matrix
from metatl.types import MetatlError


@dataclass(frozen=True)
class HelperGate(GramianAggregate):
    """g_0 + weight * sum over i > 0 of gate(cos(g_i, g_0)) g_i: the first loss is the main task's.

    gate is 1 where the cosine is above 0 and 0 elsewhere (`sign`), or max(0, cos) (`cosine`); the cosine is
    over all shared weights together. As the main gradient is kept whole, and no helper points against it, a
    small step never raises the main loss; k gradients that are alike give 1 + weight (k - 1) times
    themselves. Source: Du et al. 2018, arXiv 1812.02224.

    Args:
        weight: of every helper, 0 or more.
        gate: how a helper's gradient is weighed by its cosine with the main one.
    """

    weight: float = 1.0
    gate: Literal["sign", "cosine"] = "sign"

    def __post_init__(self) -> None:
        """Raise MetatlError for a weight below 0 and for another gate."""
        if not 0.0 <= self.weight < math.inf or self.gate not in ("sign", "cosine"):
            raise MetatlError(
                f"HelperGate: weight is {self.weight}, gate {self.gate!r}; give a number, 0 or more, and "
                "sign or cosine"
            )

    def weights(self, gramian: Matrix) -> Matrix:
        """1 for the main gradient, its gate for every helper; a gradient of 0 agrees with none."""
        lengths = np.sqrt(gramian.diagonal().clip(min=0.0) * max(0.0, float(gramian[0, 0])))
        cosines = gramian[0] / lengths.clip(min=np.finfo(np.float64).tiny)
        gates = np.heaviside(cosines, 0.0) if self.gate == "sign" else cosines.clip(min=0)
        found = self.weight * gates
        found[0] = 1.0
        return found
