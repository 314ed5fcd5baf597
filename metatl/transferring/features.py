"""What rows are to an output layer: features of a frozen body, or columns as numbers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metatl import tree
from metatl.data.cache import Arrays, look_up, put_away
from metatl.data.examples import Index
from metatl.norm import Rows, moments_from
from metatl.types import MetatlError

BATCH = 32
"""Rows of one forward pass."""
_MOST_HELD = 1 << 29
"""Bytes of encoded draws that stay in memory."""
Tick = Callable[[int, int], None]


class Features(ABC):
    """One row of numbers for every row of a problem."""

    width: int

    @abstractmethod
    def of(self, places: Index, labelled: Index) -> Tensor:
        """[n, width] of these rows; labelled: the rows of the draw, whose inputs may be learned from."""


@dataclass(frozen=True)
class Computed(Features):
    """Features [rows, width] that no draw changes."""

    held: Tensor

    @property
    def width(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of a row."""
        return self.held.shape[1]

    def of(self, places: Index, labelled: Index) -> Tensor:
        """These rows [n, width]; where they follow one another as they are held, with nothing copied."""
        if len(places) and (np.diff(places) == 1).all():
            return self.held[int(places[0]) : int(places[-1]) + 1]
        return self.held[torch.from_numpy(places)]


@dataclass
class Encoded(Features):
    """Columns as numbers, by an encoder that is fitted on the labelled rows of each draw alone.

    fit: columns -> encoder, and encoder: columns -> [n, width]. Draws are encoded once for all ways, as long
    as memory allows.
    """

    columns: Any
    fit: Callable[[Any], Callable[[Any], Tensor]]
    _held: dict[bytes, Tensor] = field(default_factory=dict[bytes, Tensor])

    @property
    def width(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of a row when all rows are known; a draw's own may be smaller."""
        return self.of(np.arange(1), np.arange(self.columns.rows)).shape[1]

    def of(self, places: Index, labelled: Index) -> Tensor:
        """These rows [n, width], in numbers that the labelled ones define."""
        key = labelled.tobytes()
        if key not in self._held:
            made = self.fit(self.columns.take(labelled))(self.columns)
            while self._held and sum(x.nbytes for x in self._held.values()) + made.nbytes > _MOST_HELD:
                del self._held[next(iter(self._held))]
            self._held[key] = made
        return self._held[key][torch.from_numpy(places)]


def passed(body: nn.Module, x: Any) -> Tensor:
    """What a body gives for rows x, a mapping as keywords: [n, d]."""
    return (body(**x) if isinstance(x, dict) else body(x)).flatten(1)


def forward(body: nn.Module, x: Any) -> Tensor:
    """Features [n, d] of prepared rows [n, ...], in batches, outside every graph.

    Batch norms use their running moments, so that no row's features depend on the others.
    """
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        count = tree.rows(x)
        parts = [passed(body, tree.at(x, slice(i, i + BATCH))) for i in range(0, count, BATCH)]
    return torch.cat(parts).contiguous()


def _known(arrays: Arrays | None, axes: int) -> Tensor | None:
    """The features, [d] or [rows, d], among what was kept; None for whatever else lies under their name."""
    kept = None if arrays is None else arrays.get("features")
    if kept is None or kept.ndim != axes or kept.dtype != np.float32:
        return None
    return torch.from_numpy(kept.copy())


def features(
    body: Callable[[], nn.Module],
    key: str,
    digests: Sequence[str | None],
    batch: Callable[[Sequence[int]], tuple[list[int], Any]],
    tick: Tick = lambda done, total: None,
) -> list[Tensor | None]:
    """The features [d] of rows with these content digests; None for those that cannot be read.

    They are kept in the user's cache by content of the row, weights of the net and preparation, and shared
    by all ways, draws and later commands; rows that were asked for together lie in one file too, as opening
    one for each takes longer than some fits. body: gives the net, where rows are missing; batch: places ->
    those that can be read, and their rows.
    """
    together = f"features/{key}/together-{hashlib.sha256(repr(list(digests)).encode()).hexdigest()}"
    if (held := _known(look_up(together), 2)) is not None and len(held) == len(digests):
        return list(held)
    found = [None if one is None else _known(look_up(f"features/{key}/{one}"), 1) for one in digests]
    missing = [i for i, held in enumerate(found) if held is None and digests[i] is not None]
    net = body() if missing else nn.Identity()
    for read, x in _ahead(batch, [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)], tick):
        for i, row in zip(read, forward(net, x) if read else (), strict=True):
            found[i] = row.clone()
            put_away(f"features/{key}/{digests[i]}", {"features": row.numpy()})
    whole = [row for row in found if row is not None]
    if len(whole) == len(found) > 1:
        put_away(together, {"features": torch.stack(whole).numpy()})
    return found


def _ahead(
    batch: Callable[[Sequence[int]], tuple[list[int], Any]], some: Sequence[Sequence[int]], tick: Tick
) -> Iterator[tuple[list[int], Any]]:
    """Batches in their order, one read while the last one passes the net."""
    total, done = sum(map(len, some)), 0
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(batch, places) for places in some[:1])
        for i, places in enumerate(some):
            tick(done, total)
            found = coming.popleft().result()
            coming.extend(reader.submit(batch, later) for later in some[i + 1 : i + 2])
            yield found
            done += len(places)


def readable(
    one: Callable[[int], Any], stacked: Callable[[list[Any]], Any]
) -> Callable[[Sequence[int]], tuple[list[int], Any]]:
    """`batch` of `features`, from rows read one by one: those that raise MetatlError are left out."""

    def batch(places: Sequence[int]) -> tuple[list[int], Any]:
        read: list[tuple[int, Any]] = []
        for place in places:
            try:
                read.append((place, one(place)))
            except MetatlError:
                continue
        return [place for place, _ in read], stacked([x for _, x in read]) if read else None

    return batch
