"""MGDA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from metatl.aggregates.gramian import GramianAggregate, Matrix, nearest


@dataclass(frozen=True)
class MGDA(GramianAggregate):
    """sum of w_i g_i, w = argmin of |sum of w_i g_i|^2 over w >= 0 with sum 1.

    The shortest vector of the gradients' hull: no task's loss rises along it, and it is 0 where none can fall
    without another's rising. Short gradients rule it. Solved exactly, where published code takes Frank-Wolfe
    steps. Source: Desideri 2012; Sener & Koltun 2018, arXiv 1810.04650.
    """

    halts: ClassVar[bool] = True

    def weights(self, gramian: Matrix) -> Matrix:
        """The nearest point's."""
        return nearest(gramian)
