"""Schedules: how the size of a step changes over a run, or over the steps of one task."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl.fields import Checked
from metatl.types import MetatlError

Named = Literal["constant", "linear", "cosine"]
"""Short names of `WarmUp`, `LinearDecay` and `CosineDecay` as they stand."""


class Schedule(Checked, ABC):
    """(step, steps) -> factor on the proposed update, hence on the rate; step 0 is the first of `steps`.

    The step is a number, or a 0-d tensor of a captured run, whose factor then is a 0-d tensor too.
    """

    warm_up: int = 0

    def __post_init__(self) -> None:
        """Refuse a negative warm-up and a floor that is no share."""
        if self.warm_up < 0:
            raise MetatlError(f"{type(self).__name__}: warm_up is {self.warm_up}; give 0 steps or more")
        if not 0.0 <= getattr(self, "floor", 0.0) <= 1.0:
            raise MetatlError(f"{type(self).__name__}: floor is a share of the rate, from 0 to 1")

    @abstractmethod
    def after(self, share: float | Tensor) -> float | Tensor:
        """The factor when this share of the steps after the warm-up is done, 0 to 1; 0-d of a tensor."""

    def __call__(self, step: int | Tensor, steps: int) -> float | Tensor:
        """(step + 1) / warm_up during the warm-up; `after` then."""
        rest = max(steps - self.warm_up, 1)
        if isinstance(step, Tensor):
            factor = torch.as_tensor(self.after((step.double() - self.warm_up).clamp(min=0) / rest))
            if not self.warm_up:
                return factor
            return torch.where(step < self.warm_up, (step.double() + 1) / self.warm_up, factor)
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        return self.after((step - self.warm_up) / rest)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """1, after a linear rise.

    Args:
        warm_up: steps of the rise; the last of them has factor 1.
    """

    warm_up: int = 0

    def after(self, share: float | Tensor) -> float | Tensor:
        """1."""
        return torch.ones_like(share) if isinstance(share, Tensor) else 1.0


@dataclass(frozen=True)
class LinearDecay(Schedule):
    """floor + (1 - floor) (1 - t), after a linear rise; t is the share of the other steps that is done.

    Args:
        warm_up: steps of the rise.
        floor: the factor that it falls to.
    """

    warm_up: int = 0
    floor: float = 0.0

    def after(self, share: float | Tensor) -> float | Tensor:
        """As above."""
        return self.floor + (1.0 - self.floor) * (1.0 - share)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """floor + (1 - floor) (1 + cos pi t) / 2, after a linear rise; t as in `LinearDecay`.

    Source: Loshchilov & Hutter 2017, arXiv 1608.03983 (without restarts).

    Args:
        warm_up: steps of the rise.
        floor: the factor that it falls to.
    """

    warm_up: int = 0
    floor: float = 0.0

    def after(self, share: float | Tensor) -> float | Tensor:
        """As above."""
        cos = torch.cos(math.pi * share) if isinstance(share, Tensor) else math.cos(math.pi * share)
        return self.floor + (1.0 - self.floor) * ((1.0 + cos) / 2.0)


@dataclass(frozen=True)
class InverseDecay(Schedule):
    """(1 + gamma t)^-power, after a linear rise; t as in `LinearDecay`.

    Source: Ganin et al. 2016, arXiv 1505.07818.

    Args:
        warm_up: steps of the rise.
        gamma: how fast it falls.
        power: of the fall.
    """

    warm_up: int = 0
    gamma: float = 10.0
    power: float = 0.75

    def after(self, share: float | Tensor) -> float | Tensor:
        """As above."""
        return (1.0 + self.gamma * share) ** -self.power


@dataclass(frozen=True)
class SlantedTriangular(Schedule):
    """A short linear rise and a long linear fall: (1 + p (ratio - 1)) / ratio, the rate itself at the peak.

    p = t / cut before step cut = floor(rise T), 1 - (t - cut) / (T - cut) from there on, for t = 0 .. T - 1.
    The published denominator cut (1 / rise - 1) is T - cut where rise T is whole; elsewhere it takes p below
    0. A run too short for a rise starts at the peak. Source: Howard & Ruder 2018, arXiv 1801.06146.

    Args:
        rise: share of the steps that rise, 0 to 1.
        ratio: of the largest factor to the smallest.
    """

    rise: float = 0.1
    ratio: float = 32.0

    def __post_init__(self) -> None:
        """Refuse a rise that is no share, and a ratio below 1."""
        if not 0.0 <= self.rise < 1.0 or self.ratio < 1.0:
            raise MetatlError(
                f"SlantedTriangular: rise is a share from 0 to 1, ratio 1 or more; they are {self.rise} and "
                f"{self.ratio}"
            )

    def after(self, share: float | Tensor) -> float | Tensor:
        """Of the whole run: 1 / ratio + (1 - 1 / ratio) (1 - t), as there is no warm-up."""
        return (1.0 + (1.0 - share) * (self.ratio - 1.0)) / self.ratio

    def __call__(self, step: int | Tensor, steps: int) -> float | Tensor:
        """As above."""
        cut = math.floor(self.rise * steps)
        if isinstance(step, Tensor):
            t = step.double()
            return self.after(torch.where(t < cut, 1.0 - t / max(cut, 1), (t - cut) / max(steps - cut, 1)))
        return self.after(1.0 - step / cut if step < cut else (step - cut) / max(steps - cut, 1))


_NAMED: dict[str, Schedule] = {"constant": WarmUp(), "linear": LinearDecay(), "cosine": CosineDecay()}


def size_at(schedule: Named | Schedule, step: int | Tensor, steps: int) -> float | Tensor:
    """The factor on this step, 0-d where that is; a plain 1.0 for one that is constant."""
    if schedule == "constant":
        return 1.0
    return (_NAMED[schedule] if isinstance(schedule, str) else schedule)(step, steps)
