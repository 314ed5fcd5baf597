"""How windows of sensors and recordings become the inputs of a net."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from metatl.data.signals import BANDS, HOP, RATE, log_mel
from metatl.types import MetatlError

LONGEST = 1 << 20
"""Values of a channel, and frames of a recording, at most."""
FAR = 10.0
"""Deviations from the mean, beyond which a whole channel looks as if its unit were another one."""


@dataclass(frozen=True)
class Standardised(ABC):
    """(x - mean) / deviation, a value of each for every channel or band, in the signals' own units.

    All plain values: `of(values()) == self`, also through JSON. length: of one along time. Raises MetatlError
    for values that mean nothing.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    length: int

    def __post_init__(self) -> None:
        """Lists (from JSON) become tuples; values that mean nothing are refused."""
        for name in ("mean", "deviation"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        alike = 0 < len(self.mean) == len(self.deviation)
        if not (alike and all(map(math.isfinite, self.mean)) and 1 <= self.length <= LONGEST):
            raise MetatlError(
                "preparation: a mean and a deviation for every channel, and a length of 1 or more"
            )
        if not all(math.isfinite(v) and v > 0 for v in self.deviation):
            raise MetatlError(f"preparation: deviations are above 0; they are {self.deviation[:6]}")

    def stacked(self, rows: Sequence[Tensor]) -> Tensor:
        """Prepared signals as one batch [n, ...]."""
        return torch.stack(list(rows)) if rows else self.example()[:0]

    @abstractmethod
    def example(self) -> Tensor:
        """Two prepared signals of nothing: a pass over them tells layers by use."""

    def values(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values, and no tensors, from which `of` makes it again."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}, {}

    @classmethod
    def of(cls, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """The inverse of `values`."""
        return cls(**values)

    def resized(self, size: int) -> Self:
        """Signals have no size in pixels: MetatlError."""
        raise MetatlError(f"size is of pictures and texts, and the net reads {len(self.mean)} channels")


@dataclass(frozen=True)
class WindowPreparation(Standardised):
    """Windows [..., channels, time], every channel standardised; a net's windows may have another length."""

    unit: ClassVar[str] = "window"

    @staticmethod
    def fit(x: Any) -> WindowPreparation:
        """Mean and deviation of every channel of windows [n, channels, time]; 1 where it does not vary."""
        mean, spread = x.mean((0, 2)), x.std((0, 2))
        spread = np.where(spread > 1e-12 * np.abs(mean), spread, 1.0)
        return WindowPreparation(tuple(mean.tolist()), tuple(spread.tolist()), x.shape[2])

    def __call__(self, x: Any) -> Tensor:
        """The standardised windows, float32; MetatlError for another number of channels."""
        if x.shape[-2] != len(self.mean):
            raise MetatlError(
                f"windows have {x.shape[-2]} channels of {x.shape[-1]} values, and the net reads "
                f"{len(self.mean)} channels; give it windows [n, channels, time] of the same channels"
            )
        mean, deviation = (np.array(values)[:, None] for values in (self.mean, self.deviation))
        return torch.from_numpy(((x - mean) / deviation).astype(np.float32))

    def example(self) -> Tensor:
        """[2, channels, time]."""
        return torch.zeros(2, len(self.mean), self.length)

    def notes(self, rows: Any) -> tuple[str, ...]:
        """What is worth saying of windows [n, channels, time]: units that look like other ones."""
        x = self(rows).numpy() if len(rows) else np.zeros((1, 1, 1))
        far = np.flatnonzero((np.abs(x.mean((0, 2))) > FAR) | (x.std((0, 2)) > FAR))
        if not len(far):
            return ()
        which = ", ".join(str(c) for c in far[:6])
        return (f"windows: channel {which} is far from what the net was learned on; are the units the same?",)

    @property
    def told(self) -> str:
        """What a net is given, in a few words for tables."""
        return f"on windows of {len(self.mean)} channels"


@dataclass(frozen=True)
class MelPreparation(Standardised):
    """Recordings as log-mel spectrograms [1, frames, bands], every band standardised.

    The mean over a recording is taken off first, so that loudness says nothing. Of longer recordings the
    middle is read; shorter ones stand in the middle between zeros, the mean of every band.
    """

    unit: ClassVar[str] = "recording"

    def __post_init__(self) -> None:
        """There are so many bands."""
        super().__post_init__()
        if len(self.mean) != BANDS:
            raise MetatlError(f"preparation: {len(self.mean)} bands where there are {BANDS}")

    @staticmethod
    def fit(sounds: Iterable[Any], most: int) -> MelPreparation:
        """Of recordings [samples]: frames as many as the longest has, `most` at most."""
        total, square, count, longest = np.zeros(BANDS), np.zeros(BANDS), 0, 1
        for sound in sounds:
            mel = _level(log_mel(sound))
            total, square, count = total + mel.sum(0), square + (mel**2).sum(0), count + len(mel)
            longest = max(longest, len(mel))
        mean = total / max(count, 1)
        spread = np.sqrt(np.maximum(square / max(count, 1) - mean**2, 0))
        spread = np.where(spread > 1e-6, spread, 1.0)
        return MelPreparation(tuple(mean.tolist()), tuple(spread.tolist()), min(longest, most))

    def __call__(self, sound: Any) -> Tensor:
        """[1, frames, bands], float32, of a recording [samples]."""
        mel = (_level(log_mel(sound)) - np.array(self.mean)) / np.array(self.deviation)
        cut = max(0, len(mel) - self.length) // 2
        mel = mel[cut : cut + self.length]
        found = np.zeros((1, self.length, BANDS), np.float32)
        before = (self.length - len(mel)) // 2
        found[0, before : before + len(mel)] = mel
        return torch.from_numpy(found)

    def example(self) -> Tensor:
        """[2, 1, frames, bands]."""
        return torch.zeros(2, 1, self.length, BANDS)

    def notes(self, rows: Iterable[Sequence[tuple[str, str]]]) -> tuple[str, ...]:
        """What is worth saying of recordings, by what a report shows of them: how many are cut."""
        seconds = [float(dict(row).get("seconds") or 0.0) for row in rows]
        count = sum(one > self.length * HOP / RATE + 0.5 for one in seconds)
        said = f"longer than {self.length * HOP / RATE:.1f} s; the net reads their middle"
        return (f"{count} recordings are {said}",) if count else ()

    @property
    def told(self) -> str:
        """What a net is given, in a few words for tables."""
        return f"on log-mel spectrograms of {self.length * HOP / RATE:.1f} s"


def _level(mel: Any) -> Any:
    return mel - mel.mean()
