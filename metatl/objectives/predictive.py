"""What a model says of a real target: not a value alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from torch import Tensor

from metatl.objectives import losses
from metatl.types import MetatlError


class Predictive(NamedTuple):
    """Outputs mean [n, outputs], with the variance of the targets around them where it is said.

    evidence: log p of a task's targets, 0-d, where a model has it.
    """

    mean: Tensor
    variance: Tensor | None = None
    evidence: Tensor | None = None

    def nll(self, y: Tensor) -> Tensor:
        """-log N(y; mean, variance), nats a value, [n, outputs]."""
        variance = self.sure()
        square = losses.squared_error(self.mean, y) / variance
        return (square + variance.log() + math.log(2 * math.pi)) / 2

    def interval(self, level: float) -> tuple[Tensor, Tensor]:
        """The ends [n, outputs] of the interval that holds this share of the targets, in the middle."""
        half = NormalDist().inv_cdf((1 + level) / 2) * self.sure().sqrt()
        return self.mean - half, self.mean + half

    def sure(self) -> Tensor:
        """The variance [n, d]; MetatlError where none is said."""
        if self.variance is None:
            raise MetatlError("these outputs have no variance; choose a way that says one")
        return self.variance
