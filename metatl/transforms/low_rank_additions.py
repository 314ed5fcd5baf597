"""What is said of low-rank additions to the layers of a net."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from metatl.net import Net
from metatl.transforms.low_rank import Scaling
from metatl.transforms.low_rank_kernel import kernel, pointwise
from metatl.transforms.targets import (
    adaptable,
    check_pattern,
    check_rank,
    check_share,
    linear,
    meant,
    nothing_meant,
)
from metatl.transforms.transform import Transform
from metatl.types import MetatlError


@dataclass(frozen=True)
class LowRankAdditions(Transform):
    """Where low-rank additions lie, and how large they are: the arguments that `LoRA` and `DoRA` explain."""

    r: int = 8
    alpha: float = 8.0
    targets: str = "all-linear"
    scaling: Scaling = "standard"
    seed: int = 0
    dropout: float = 0.0
    kernels: bool = False

    codes: ClassVar[bool] = False
    """Whether a linear layer is taken whose weight is held as codes."""

    def __post_init__(self) -> None:
        """Refuse a rank below 1, a broken regular expression and a dropout that is no share."""
        name = type(self).__name__
        check_rank(name, self.r)
        check_pattern(name, self.targets)
        check_share(name, self.dropout)
        if not math.isfinite(self.alpha):
            raise MetatlError(f"{name}: alpha is {self.alpha}; give a finite number, r say")

    def layers(self, net: Net) -> list[str]:
        """The names of the layers that are meant; MetatlError where there is none."""
        found = meant(net, self._takes, self.targets, "all-linear")
        if not found:
            raise nothing_meant(type(self).__name__, net, self._takes, self.targets)
        return found

    def _takes(self, layer: nn.Module) -> bool:
        flat = adaptable if self.codes else linear
        return flat(layer) or (kernel if self.kernels else pointwise)(layer)
