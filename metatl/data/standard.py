"""Channels, or features, of mean 0 and deviation 1 over some rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metatl.data.labelled import Array
from metatl.types import MetatlError


@dataclass(frozen=True)
class Standard:
    """(x - mean) / deviation per channel (of rows [n, d] per column), in float64."""

    mean: Array
    deviation: Array

    @staticmethod
    def of(x: Tensor, rows: Array, where: str) -> Standard:
        """Of some rows of x [n, channels, ...]; MetatlError where there is none."""
        seen = x.numpy()[rows].astype(np.float64)
        if not len(seen):
            raise MetatlError(f"{where}: meta_train is empty, and its rows are what x is standardised by")
        axes, shape = (0, *range(2, seen.ndim)), (-1, *[1] * (seen.ndim - 2))
        spread = seen.std(axes)
        return Standard(seen.mean(axes).reshape(shape), np.where(spread > 0, spread, 1.0).reshape(shape))

    def values(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of every channel."""
        return self.mean.ravel().tolist(), self.deviation.ravel().tolist()

    def __call__(self, x: Tensor) -> Tensor:
        """The rows [n, channels, ...], float32."""
        return torch.from_numpy(((x.numpy() - self.mean) / self.deviation).astype(np.float32))
