"""What changed between two tensors of one shape, and many such changes in a few byte strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.store import items, places
from metatl.types import MetatlError


class Change(NamedTuple):
    """What changed in one tensor: which entries, their items, and the unit of halves (None: flipped bits)."""

    where: NDArray[np.int64]
    items: items.Items
    unit: float | None


def changed(name: str, old: Tensor, new: Tensor, halves: bool) -> Change:
    """The entries of which any bit differs; halves: told as float16 differences, in units of the largest.

    Raises MetatlError for a difference that float16 cannot hold.
    """
    flips, unit = items.items(old) ^ items.items(new), None
    where = np.flatnonzero(flips.any(1))
    if len(where) and halves:
        moved = (new.detach().cpu().double() - old.detach().cpu().double()).reshape(-1)
        unit = float(moved.abs().max())
        if not np.isfinite(unit):
            raise MetatlError(f"{name} holds NaN or infinity, which half cannot tell; use precision exact")
        shares = (moved / (unit or 1.0)).half()
        where, flips = np.flatnonzero(shares.numpy()), items.items(shares)
    among, width = flips.shape
    if len(where) and places.size(len(where), among) + len(where) * width >= among * width:
        where = np.arange(among)
    return Change(where, flips[where], unit)


def packed(found: Sequence[Change], sizes: Sequence[int]) -> dict[str, Tensor]:
    """The changes of tensors with these many entries as few tensors: places, items by width, units."""
    where = b"".join(places.pack(change.where, size) for change, size in zip(found, sizes, strict=True))
    units = [change.unit for change in found if change.unit is not None]
    tensors = {"places": items.stored(where)} if where else {}
    if units:
        tensors["units"] = torch.tensor(units, dtype=torch.float64)
    for width in sorted({change.items.shape[1] for change in found}):
        tensors[f"items{width}"] = items.squeezed([c.items for c in found if c.items.shape[1] == width])
    return tensors


def unpacked(
    tensors: Mapping[str, Tensor], counts: Mapping[str, int], old: Mapping[str, Tensor], halves: set[str]
) -> dict[str, Change]:
    """The inverse of `packed`: what changed, by name, in the order of `counts`."""
    widths = {name: 2 if name in halves else old[name].element_size() for name in counts}
    totals = {width: sum(counts[n] for n in counts if widths[n] == width) for width in set(widths.values())}
    held = {width: items.unsqueezed(tensors[f"items{width}"], width, n) for width, n in totals.items()}
    codes = tensors["places"].numpy().tobytes() if "places" in tensors else b""
    units = iter(tensors["units"].tolist() if halves else [])
    changes: dict[str, Change] = {}
    for name, count in counts.items():
        among, width = old[name].numel(), widths[name]
        length = places.size(count, among)
        where, codes = places.unpack(codes[:length], count, among), codes[length:]
        taken, held[width] = held[width][:count], held[width][count:]
        changes[name] = Change(where, taken, next(units) if name in halves else None)
    return changes


def applied(leaf: Tensor, change: Change) -> Tensor:
    """The tensor with the change, on the same device."""
    if change.unit is None:
        return items.flipped(leaf, change.where, change.items)
    # In float64 on the CPU, so that every machine rounds alike.
    moves = torch.from_numpy(change.items.copy().reshape(-1)).view(torch.float16).double() * change.unit
    wide = leaf.detach().cpu().double().reshape(-1)
    moved = wide.index_add(0, torch.from_numpy(change.where), moves)
    return moved.to(leaf.dtype).view(leaf.shape).to(leaf.device)
