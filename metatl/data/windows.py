"""Windows of sensors: as they are, and as columns that say what each is in a fixed number of values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from metatl.data.waves import Signals
from metatl.types import MetatlError

PARTS = 3
"""Equal parts of a window whose means are told."""
Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Windows(Signals):
    """Windows [n, channels, time] of floats; where: of what, for messages."""

    x: Floats
    where: str
    unit: ClassVar[str] = "window"

    @property
    def held(self) -> Floats:
        """All of them."""
        return self.x

    def raw(self, place: int) -> Floats:
        """A window [channels, time]."""
        return self.x[place]

    def digest(self, place: int) -> str:
        """Of shape and values."""
        said = repr(self.x.shape[1:]).encode() + np.ascontiguousarray(self.x[place]).tobytes()
        return hashlib.sha256(said).hexdigest()

    def shown(self, place: int) -> list[tuple[str, str]]:
        """The range of every channel."""
        low, high = self.x[place].min(1), self.x[place].max(1)
        return [(f"channel {c}", f"{low[c]:.4g} .. {high[c]:.4g}") for c in range(len(low))]

    def take(self, places: Any) -> Windows:
        """These windows."""
        return Windows(self.x[places], self.where)

    def joined(self, others: Sequence[Any]) -> Windows:
        """All of them; MetatlError for windows of another shape."""
        shapes = {one.x.shape[1:] for one in (self, *others)}
        if len(shapes) > 1:
            said = " and ".join(str(list(shape)) for shape in sorted(shapes))
            raise MetatlError(f"{self.where}: windows are {said}; give all of them one shape")
        return Windows(np.concatenate([self.x, *(one.x for one in others)]), self.where)


def windows_of(arrays: Mapping[str, Any], where: str) -> tuple[Windows | None, list[str]]:
    """The arrays [n, channels, time] among these, side by side as channels of one window; and notes.

    Raises MetatlError for windows of several lengths or numbers, without a value, with values that are no
    finite numbers (naming the first), and where another axis than the first counts the rows.
    """
    found = {name: array for name, array in arrays.items() if array.ndim == 3}
    if not found:
        return None, []
    name, first = next(iter(found.items()))
    for other, array in found.items():
        if array.dtype.kind not in "biuf":
            raise MetatlError(f"{where}: {other} holds {array.dtype} values; windows are numbers")
        if (len(array), array.shape[2]) != (len(first), first.shape[2]):
            said = f"{name} is {list(first.shape)} and {other} {list(array.shape)}"
            raise MetatlError(f"{where}: {said}; give windows [n, channels, time] of one n and one time")
    lengths = [len(array) for array in arrays.values() if array.ndim == 1]
    if lengths and len(first) not in lengths and {*first.shape[1:]} & {*lengths}:
        raise MetatlError(
            f"{where}: {name} is {list(first.shape)}, and other arrays have {max(lengths)} values; windows "
            "are [n, channels, time]: transpose it"
        )
    x = np.concatenate([array.astype(np.float64) for array in found.values()], 1)
    if not x.size:
        raise MetatlError(f"{where}: {name} is {list(first.shape)}, windows without a value")
    bad = np.flatnonzero(~np.isfinite(x).all((1, 2)))
    if len(bad):
        raise MetatlError(
            f"{where}: {len(bad)} windows hold values that are not finite, the first in row {bad[0] + 1}; "
            "mend or leave them out"
        )
    notes = list[str]()
    if x.shape[1] > x.shape[2]:
        notes.append(
            f"{where}: windows are read as {x.shape[1]} channels of {x.shape[2]} values each "
            "([n, channels, time]); transpose them if that is not so"
        )
    return Windows(x, where), notes


def window_columns(x: Floats) -> dict[str, Floats]:
    """Windows [n, channels, time] as columns by name [n].

    Of every channel mean, deviation, least, largest, deviation of the steps from value to value, and means of
    three equal parts; of every two channels their correlation.
    """
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
