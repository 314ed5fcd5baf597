"""Sinusoid regression (Finn, Abbeel, Levine 2017, arXiv 1703.03400): every task is a sine wave of its own."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from metatl.data.counter import bits, derived, gaussian, number, uniform
from metatl.data.source import SPLITS, Data, Kind, Source, Tasks, device_of, indices
from metatl.types import Batch, Episode, MetatlError, Split

_WAVE, _POINT, _MIXED, _NOISE = 201, 202, 203, 204


@final
@dataclass(frozen=True)
class Sinusoid(Source):
    """y = A sin(x - phase) + e: amplitude, phase and x uniform over these ranges (phase up to pi).

    noise: variance of the normal e, of support and query rows alike.
    """

    embedded = True
    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, torch.pi)
    x: tuple[float, float] = (-5.0, 5.0)
    noise: float = 0.0

    def load(self, device: str = "cpu") -> SinusoidData:
        """Nothing to read; MetatlError for a range that is upside down."""
        if not 0 <= self.noise < float("inf"):
            raise MetatlError(f"sinusoid: noise is {self.noise}; give a variance, 0 or more")
        for name, (low, high) in self.intervals().items():
            if not low <= high:
                raise MetatlError(f"sinusoid: {name} is [{low}, {high}]: the first must not be the larger")
        return SinusoidData(self, device_of(device))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """The ranges by name."""
        return {key: value for key, value in asdict(self).items() if key != "noise"}


@final
@dataclass(frozen=True)
class SinusoidData(Data):
    """Waves drawn from the ranges; `way` and `subsets` play no part."""

    ranges: Sinusoid
    device: torch.device
    shape: tuple[int, ...] = (1,)
    kind: Kind = "regression"
    name: str = "sinusoid"
    capturable: ClassVar[bool] = True

    def outputs(self, tasks: Tasks) -> int:
        """One: the value of the wave."""
        return 1

    def classes(self, split: Split) -> int:
        """None: this is regression."""
        return 0

    def check(self, split: Split, tasks: Tasks) -> None:
        """Only shot and query have to make sense."""
        tasks.check(self.name)

    def waves(self, split: Split, seed: int, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Amplitudes and phases [count] of these episodes, float64."""
        return self._waves(number(_WAVE, seed, SPLITS.index(split)), self._indices(first, count))

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """x, y [count, shot or query, 1] float32."""
        self.check(split, tasks)
        x = self._places(split, seed, self._indices(first, count), tasks.one.shot + tasks.one.query)
        amplitude, phase = self.waves(split, seed, first, count)
        both = self._points(amplitude[:, None], phase[:, None], x)
        both = both[0], self._noisy(both[1], split, seed, first, count)
        support, query = (
            Batch(*(part.split([tasks.one.shot, tasks.one.query], 1)[k] for part in both)) for k in (0, 1)
        )
        return Episode(support, query)

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the ranges, the waves and the places x of episodes 0 .. count - 1."""
        digest = hashlib.sha256(repr((self.describe(), split, tasks.one.shot, tasks.one.query)).encode())
        x = self._places(split, seed, self._indices(0, count), tasks.one.shot + tasks.one.query)
        for values in (*self.waves(split, seed, 0, count), x):
            digest.update(values.cpu().numpy().astype(np.dtype("<f8")).tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Every row from a wave of its own: what a net pre-trained on all tasks at once sees."""
        rows, key = self._indices(step * size, size), number(_MIXED, seed, SPLITS.index(split))
        amplitude, phase = self._waves(key, rows)
        x, y = self._points(amplitude, phase, _between(bits(number(key, 1), rows), self.ranges.x))
        return Batch(x, self._with_noise(y, bits(number(key, 2), rows)))

    def describe(self) -> dict[str, Any]:
        """Name and ranges, and the noise where there is any."""
        told = {"name": self.name, **{key: list(value) for key, value in self.ranges.intervals().items()}}
        return told if self.ranges.noise == 0 else {**told, "noise": self.ranges.noise}

    def _noisy(self, y: Tensor, split: Split, seed: int, first: int, count: int) -> Tensor:
        if self.ranges.noise == 0:
            return y
        own = bits(number(_NOISE, seed, SPLITS.index(split)), self._indices(first, count))[:, None]
        return self._with_noise(y, bits(own, self._indices(0, y.shape[1])))

    def _with_noise(self, y: Tensor, words: Tensor) -> Tensor:
        """y [..., 1] and normal noise from words [...]."""
        if self.ranges.noise == 0:
            return y
        return y + (self.ranges.noise**0.5 * gaussian(words)).float().unsqueeze(-1)

    def _places(self, split: Split, seed: int, episodes: Tensor, n: int) -> Tensor:
        own = bits(number(_POINT, seed, SPLITS.index(split)), episodes)[:, None]
        return _between(bits(own, self._indices(0, n)), self.ranges.x)

    def _waves(self, key: int, index: Tensor) -> tuple[Tensor, Tensor]:
        own = bits(key, index)
        words = [derived(own, k) for k in (0, 1)]
        return _between(words[0], self.ranges.amplitude), _between(words[1], self.ranges.phase)

    def _points(self, amplitude: Tensor, phase: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """x is rounded to float32 first: y belongs to the very x that a net is given."""
        x = x.float()
        return x.unsqueeze(-1), (amplitude * torch.sin(x.double() - phase)).float().unsqueeze(-1)

    def _indices(self, first: int, count: int) -> Tensor:
        return indices(first, count, self.device)


def _between(words: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = limits
    return low + (high - low) * uniform(words)
