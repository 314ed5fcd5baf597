"""A density over the real line as bars with two half-normal tails."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from metatl.objectives.bars import Bars
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class BarDistribution(Term):
    """-log p(y), with p from outputs [n, bars]: softmax weights of bars of equal width over [low, high].

    p(y) = w_b / width in bar b; the first and the last are half-normals that reach to -inf and inf, half of
    their weight within a width (Müller et al. 2022, arXiv 2112.10510). Targets are [n] or [n, 1].

    Args:
        low, high: of the range; its unit is that of y.
        bars: how many, at least 3.
    """

    low: float = -4.0
    high: float = 4.0
    bars: int = 64

    def __post_init__(self) -> None:
        """Refuse a range that is upside down, and too few bars."""
        if not -math.inf < self.low < self.high < math.inf or self.bars < 3:
            raise MetatlError(
                f"BarDistribution: {self.bars} bars over [{self.low}, {self.high}]; give 3 bars or more, and "
                "the lower end first"
            )

    @property
    def width(self) -> float:
        """Of a bar."""
        return (self.high - self.low) / self.bars

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The mean over rows."""
        return mean_over_rows(self.nll(output, batch.y), batch.weight)

    def nll(self, output: Tensor, y: Tensor) -> Tensor:
        """-log p(y) [n, 1], in nats per unit of y; MetatlError for outputs of another number."""
        return self._bars(output).nll(output, y.reshape(-1, 1))

    def mean(self, output: Tensor) -> Tensor:
        """E[y] [n, 1]."""
        return self._bars(output).mean(output)

    def variance(self, output: Tensor) -> Tensor:
        """Var[y] [n, 1]: width^2 / 12 in a bar, (1 - 2 / pi) s^2 in a tail of scale s, and between them."""
        return self._bars(output).variance(output)

    def quantile(self, output: Tensor, share: float) -> Tensor:
        """The y below which this share of the weight lies, [n, 1]; 0 < share < 1."""
        if not 0 < share < 1:
            raise MetatlError(f"BarDistribution: a quantile is of a share between 0 and 1; it is {share}")
        return self._bars(output).quantile(output, share)

    def _bars(self, output: Tensor) -> Bars:
        if output.shape[-1] != self.bars:
            raise MetatlError(
                f"BarDistribution has {self.bars} bars, and the net gives {output.shape[-1]} outputs; let "
                "the model's `bars` be the same number"
            )
        return Bars(self.low, self.high, self.bars)
