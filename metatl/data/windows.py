"""Windows of sensors as columns: what each is in a fixed number of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.types import MetatlError

PARTS = 3
"""Equal parts of a window whose means are told."""
Floats = NDArray[np.float64]


def window_columns(x: Any, where: str) -> dict[str, Floats]:
    """Windows [n, channels, time] as columns by name [n].

    Of every channel mean, deviation, least, largest, deviation of the steps from value to value, and means of
    three equal parts; of every two channels their correlation.
    """
    x = np.asarray(x, np.float64)
    if not np.isfinite(x).all() or not x.shape[2]:
        raise MetatlError(
            f"{where}: windows hold values that are not finite, or none; mend or leave them out"
        )
    steps = np.diff(x, axis=2).std(2) if x.shape[2] > 1 else np.zeros(x.shape[:2])
    kinds = {"mean": x.mean(2), "deviation": x.std(2), "least": x.min(2), "largest": x.max(2), "steps": steps}
    for i, part in enumerate(np.array_split(x, PARTS, 2)):
        kinds[f"part {i}"] = part.mean(2) if part.shape[2] else x.mean(2)
    found = {f"channel {c} {kind}": held[:, c] for c in range(x.shape[1]) for kind, held in kinds.items()}
    centred = (x - x.mean(2, keepdims=True)) / np.maximum(x.std(2, keepdims=True), 1e-12)
    for a in range(x.shape[1]):
        for b in range(a):
            found[f"channels {b} and {a}"] = (centred[:, a] * centred[:, b]).mean(1)
    return found
