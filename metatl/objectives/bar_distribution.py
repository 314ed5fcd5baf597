"""A density over the real line as bars with two half-normal tails."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params

_HALF = 0.6744897501960817
"""The normal's third quartile: half of a half-normal of scale 1 lies below it."""


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
        self._check(output)
        y = y.reshape(-1, 1)
        place = ((y - self.low) / self.width).floor().clamp(0, self.bars - 1).long()
        inside = output.log_softmax(-1).gather(-1, place) - math.log(self.width)
        scale = self.width / _HALF
        out = torch.where(place == 0, self.low + self.width - y, y - self.high + self.width) / scale
        tail = math.log(self.width) + 0.5 * math.log(2 / math.pi) - math.log(scale) - out.square() / 2
        return -torch.where((place == 0) | (place == self.bars - 1), inside + tail, inside)

    def mean(self, output: Tensor) -> Tensor:
        """E[y] [n, 1]."""
        self._check(output)
        return (output.softmax(-1) * self._middles(output)).sum(-1, keepdim=True)

    def variance(self, output: Tensor) -> Tensor:
        """Var[y] [n, 1]: width^2 / 12 in a bar, (1 - 2 / pi) s^2 in a tail of scale s, and between them."""
        self._check(output)
        middles, scale = self._middles(output), self.width / _HALF
        own = torch.full_like(middles, self.width**2 / 12)
        own[0] = own[-1] = (1 - 2 / math.pi) * scale**2
        far = (middles - self.mean(output)).square()
        return (output.softmax(-1) * (own + far)).sum(-1, keepdim=True)

    def quantile(self, output: Tensor, share: float) -> Tensor:
        """The y below which this share of the weight lies, [n, 1]; 0 < share < 1."""
        self._check(output)
        if not 0 < share < 1:
            raise MetatlError(f"BarDistribution: a quantile is of a share between 0 and 1; it is {share}")
        weight = output.double().softmax(-1)
        above = weight.cumsum(-1)
        place = (above < share).sum(-1, keepdim=True).clamp_max(self.bars - 1)
        own = weight.gather(-1, place).clamp_min(1e-300)
        part = ((share - above.gather(-1, place)) / own + 1).clamp(1e-12, 1 - 1e-12)
        scale, root = self.width / _HALF, math.sqrt(2)
        first = self.low + self.width - scale * root * torch.erfinv(1 - part)
        last = self.high - self.width + scale * root * torch.erfinv(part)
        found = self.low + self.width * (place + part)
        found = torch.where(place == 0, first, torch.where(place == self.bars - 1, last, found))
        return found.to(output.dtype)

    def _middles(self, output: Tensor) -> Tensor:
        """E[y] within each bar and tail [bars]."""
        middles = self.low + self.width * (torch.arange(self.bars, device=output.device) + 0.5)
        far = self.width / _HALF * math.sqrt(2 / math.pi)
        middles[0], middles[-1] = self.low + self.width - far, self.high - self.width + far
        return middles.to(output.dtype)

    def _check(self, output: Tensor) -> None:
        if output.shape[-1] != self.bars:
            raise MetatlError(
                f"BarDistribution has {self.bars} bars, and the net gives {output.shape[-1]} outputs; let "
                "the model's `bars` be the same number"
            )
