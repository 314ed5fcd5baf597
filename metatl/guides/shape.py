"""Shapes: from a raw non-negative statistic of every weight to its guide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.fields import Checked
from metatl.types import Guide, MetatlError, Params

Focus = Literal["zero_enforced_and_normalized", "raw", "zero_enforced", "normalized"]
Temperature = Literal["freezing", "step", "icy", "chilly", "room", "warm", "evaporating", "custom"]


class Shape(Checked, ABC):
    """A map from a raw statistic (mean squared displacement, Fisher information) to a guide."""

    @abstractmethod
    def __call__(self, raw: Params, always: int = 0) -> Guide:
        """The guide of the weights in `raw`; `always` counts trainable ones outside of it (a fresh head)."""


def _focused(raw: Tensor, focus: Focus) -> Tensor:
    low, high = raw.min(), raw.max()
    if focus == "raw":
        return raw
    if focus == "zero_enforced":
        return raw - low
    if focus == "normalized":
        return raw / torch.where(high > 0, high, torch.ones_like(high))
    # A constant tensor says nothing about its entries: all of them move alike, with guide 1.
    spread = high - low
    constant = spread <= 0
    return torch.where(constant, torch.ones_like(raw), (raw - low) / torch.where(constant, 1.0, spread))


def _tempered(g: Tensor, temperature: Temperature, slope: float, intercept: float, unit: bool) -> Tensor:
    low, spread = g.min(), g.max() - g.min()
    if unit:
        # A constant tensor has no range of its own: under the default focus it lies at the top of [0, 1].
        constant = spread <= 0
        low = torch.where(constant, torch.zeros_like(low), low)
        spread = torch.where(constant, torch.ones_like(spread), spread)
    if temperature in ("freezing", "step"):
        rank = max(0, -(-99 * g.numel() // 100) - 1)
        cut = g.flatten().sort().values[rank]
        return (g >= cut).to(g.dtype)
    table = {
        "icy": (2.0, -spread),
        "chilly": (1.0, -low),
        "room": (1.0, 0.0),
        "warm": (0.5, spread / 2),
        "evaporating": (0.25, spread),
        "custom": (slope, -intercept),
    }
    factor, shift = table[temperature]
    return (factor * g + shift).clamp_min(0.0)


@dataclass(frozen=True)
class MinMax(Shape):
    """GTL's guide: (m - min m) / (max m - min m), then a temperature; the least-moved weight gets exactly 0.

    Sources: Nikolic, Andric & Nikolic 2023, arXiv 2303.16154; focus and temperature by the names of the
    authors' 2024 library. A tensor that is constant (one entry, or no movement) gets 1 everywhere under the
    default focus.

    Args:
        scope: minimum and maximum of every `tensor` (the published code), or of all weights together
            (`global`).
        focus: zero_enforced_and_normalized = the formula above; raw = m; zero_enforced = m - min; normalized
            = m / max.
        temperature: after the focus, per tensor, clipped at 0; R = max - min: freezing = step = 1 from the
            99th percentile on, else 0; icy 2g - R; chilly g - min; room g; warm g/2 + R/2; evaporating g/4 +
            R; custom slope * g - intercept.
        slope: of the custom temperature.
        intercept: of the custom temperature.
        power: exponent on the result; below 1 it opens the guide, above 1 it closes it.
        factor: on the result (`scale_guidance_matrix` of the authors' library).
        threshold: guides up to it become 0 (`to_sparse` there).
    """

    scope: Literal["tensor", "global"] = "tensor"
    focus: Focus = "zero_enforced_and_normalized"
    temperature: Temperature = "room"
    slope: float = 1.0
    intercept: float = 0.0
    power: float = 1.0
    factor: float = 1.0
    threshold: float = 0.0

    def __call__(self, raw: Params, always: int = 0) -> Guide:
        """The shaped guide, same shapes as raw."""
        if self.scope == "global":
            focused = tree.unflat(_focused(tree.flat(raw), self.focus), raw)
        else:
            focused = {name: _focused(leaf, self.focus) for name, leaf in raw.items()}
        return {name: self._finish(leaf) for name, leaf in focused.items()}

    def _finish(self, g: Tensor) -> Tensor:
        unit = self.focus == "zero_enforced_and_normalized"
        g = _tempered(g, self.temperature, self.slope, self.intercept, unit)
        g = self.factor * (g if self.power == 1.0 else g.pow(self.power))
        return torch.where(g > self.threshold, g, torch.zeros_like(g)) if self.threshold > 0 else g


@dataclass(frozen=True)
class TopK(Shape):
    """FISH's guide: 1 for the k largest entries of all weights together, 0 for the rest.

    k = int(density * all weights) - always: a fresh output layer is always trainable, is not ranked, and
    counts in the budget. Source: Sung, Nair & Raffel 2021, arXiv 2111.09839. Raises MetatlError when nothing
    is left.

    Args:
        density: share of all weights that may move, 0 to 1.
    """

    density: float = 0.005

    def __post_init__(self) -> None:
        """Refuse a density outside (0, 1]."""
        if not 0.0 < self.density <= 1.0:
            raise MetatlError(f"TopK: density is {self.density}; give a share above 0 and up to 1")

    def __call__(self, raw: Params, always: int = 0) -> Guide:
        """The mask, same shapes as raw."""
        scores = tree.flat(raw)
        k = int(self.density * (scores.numel() + always)) - always
        if k <= 0:
            raise MetatlError(
                f"TopK: density {self.density} of {scores.numel() + always} weights leaves none beside the "
                f"output layer's {always}; raise the density"
            )
        best = scores.topk(min(k, scores.numel())).indices
        return tree.unflat(torch.zeros_like(scores).scatter(0, best, 1.0), raw)
