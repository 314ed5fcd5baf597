"""Bars of equal width with two half-normal tails, and densities that are weights of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

HALF = 0.6744897501960817
"""The normal's third quartile: half of a half-normal of scale 1 lies below it."""


class Bars(NamedTuple):
    """`number` bars over [low, high]; outputs [n, number] are logits of their weights."""

    low: float
    high: float
    number: int

    @property
    def width(self) -> float:
        """Of a bar."""
        return (self.high - self.low) / self.number

    @property
    def scale(self) -> float:
        """Of the tails' half-normals."""
        return self.width / HALF

    def nll(self, output: Tensor, y: Tensor) -> Tensor:
        """-log p(y) [n, 1] of y [n, 1]."""
        place = ((y - self.low) / self.width).floor().clamp(0, self.number - 1).long()
        inside = output.log_softmax(-1).gather(-1, place) - math.log(self.width)
        out = torch.where(place == 0, self.low + self.width - y, y - self.high + self.width) / self.scale
        tail = math.log(self.width) + 0.5 * math.log(2 / math.pi) - math.log(self.scale) - out.square() / 2
        return -torch.where((place == 0) | (place == self.number - 1), inside + tail, inside)

    def mean(self, output: Tensor) -> Tensor:
        """E[y] [n, 1]."""
        return (output.softmax(-1) * self.middles(output)).sum(-1, keepdim=True)

    def variance(self, output: Tensor) -> Tensor:
        """Var[y] [n, 1]."""
        middles = self.middles(output)
        own = torch.full_like(middles, self.width**2 / 12)
        own[0] = own[-1] = (1 - 2 / math.pi) * self.scale**2
        far = (middles - self.mean(output)).square()
        return (output.softmax(-1) * (own + far)).sum(-1, keepdim=True)

    def quantile(self, output: Tensor, share: float) -> Tensor:
        """The y [n, 1] below which this share of the weight lies."""
        weight = output.double().softmax(-1)
        above = weight.cumsum(-1)
        place = (above < share).sum(-1, keepdim=True).clamp_max(self.number - 1)
        own = weight.gather(-1, place).clamp_min(1e-300)
        part = ((share - above.gather(-1, place)) / own + 1).clamp(1e-12, 1 - 1e-12)
        root = math.sqrt(2)
        first = self.low + self.width - self.scale * root * torch.erfinv(1 - part)
        last = self.high - self.width + self.scale * root * torch.erfinv(part)
        found = self.low + self.width * (place + part)
        found = torch.where(place == 0, first, torch.where(place == self.number - 1, last, found))
        return found.to(output.dtype)

    def middles(self, output: Tensor) -> Tensor:
        """E[y] within each bar and tail [number]."""
        middles = self.low + self.width * (torch.arange(self.number, device=output.device) + 0.5)
        far = self.scale * math.sqrt(2 / math.pi)
        middles[0], middles[-1] = self.low + self.width - far, self.high - self.width + far
        return middles.to(output.dtype)
