"""Rows with some of their values replaced, to be filled in: self-supervised pre-training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl.data.counter import bits, first_of_shuffle, number, uniform
from metatl.data.source import Data
from metatl.data.streams import Stream
from metatl.types import Batch, MetatlError, Split

Fill = Literal["zero", "marginal", "swap", "token"]
_MASK, _OTHERS, _ORDER = 1, 2, 3


@dataclass(frozen=True)
class Masked(Stream):
    """x with every value replaced with some probability, drawn anew at every step; the labels are not read.

    x~ = (1 - m) x + m x', m ~ Bernoulli(probability) for every value. y holds the `values` [n, ...] as they
    were, and `masked`, 1[x~ != x]: a value replaced by an equal one cannot be told from its place (in
    expression counts most are 0 for 0). Source: Yoon et al. 2020 (VIME), NeurIPS; Bahri et al. 2022 (SCARF),
    arXiv 2106.15147.

    Args:
        split: where the rows come from.
        size: rows a step.
        probability: that a value is replaced.
        fill: x': `zero` (the mean of a column that was scaled); `marginal`: for every value that of a row of
            its own, so that columns know nothing of each other; `swap`: for all of a row those of one other
            row; `token`: one value that no column has.
        token: that value.
        patch: of pictures [channels, h, w], squares of so many pixels are replaced or not as a whole.
        tell: whether the net's outputs are followed by as many that tell which values were replaced.
    """

    split: Split = "meta_train"
    size: int = 128
    probability: float = 0.3
    fill: Fill = "marginal"
    token: float = -10.0
    patch: int | None = None
    tell: bool = False

    def __post_init__(self) -> None:
        """Refuse a probability of nothing or everything, no rows to swap with, and values that are none."""
        if not 0 < self.probability < 1:
            raise MetatlError(f"Masked: probability is {self.probability}; give one between 0 and 1")
        if self.size < 2:
            raise MetatlError(f"Masked: size is {self.size}; give 2 rows a step or more")
        if not math.isfinite(self.token):
            raise MetatlError(f"Masked: token is {self.token}; give a finite value that no column has")
        if self.patch is not None and self.patch < 1:
            raise MetatlError(f"Masked: patch is {self.patch}; give 1 pixel or more, or leave it out")

    def check(self, data: Data) -> None:
        """Refuse rows without real values."""
        x = data.batch(self.split, 1, 0, 0).x
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise MetatlError(f"Masked replaces real values, and rows of {data.name} are none")
        if self.patch is not None and (x.dim() != 4 or any(side % self.patch for side in x.shape[2:])):
            raise MetatlError(
                f"Masked: patches of {self.patch} pixels do not divide rows of {list(x.shape[1:])}; give "
                "pictures [channels, h, w] whose sides they divide, or leave patch out"
            )

    def outputs(self, data: Data) -> int:
        """A unit for each value of a row, or two."""
        return math.prod(data.shape) * (1 + self.tell)

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """The rows of a step."""
        x: Tensor = data.batch(self.split, self.size, seed, step).x
        flat = x.flatten(1)
        mask = self._mask(x, number(seed, _MASK, step)).flatten(1)
        seen = torch.where(mask, self._filled(data, flat, seed, step), flat)
        return Batch(seen.view(x.shape), {"values": x, "masked": (seen != flat).view(x.shape)})

    def _mask(self, x: Tensor, key: int) -> Tensor:
        """Which values of x are replaced, in its shape."""
        shape = x.shape if self.patch is None else (len(x), 1, *(side // self.patch for side in x.shape[2:]))
        places = torch.arange(math.prod(shape), device=x.device).view(shape)
        mask = uniform(bits(key, places)) < self.probability
        if self.patch is None:
            return mask
        return mask.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3).expand(x.shape)

    def _filled(self, data: Data, flat: Tensor, seed: int, step: int) -> Tensor:
        """What stands in the place of every value [n, columns]."""
        if self.fill in ("zero", "token"):
            return torch.full_like(flat, self.token if self.fill == "token" else 0.0)
        others: Tensor = data.batch(self.split, self.size, number(seed, _OTHERS), step).x.flatten(1)
        if self.fill == "swap":
            return others
        rows, columns = flat.shape
        keys = bits(number(seed, _ORDER, step), torch.arange(columns, device=flat.device))
        return others.gather(0, first_of_shuffle(keys, rows, rows, rows).T)
