"""What changed between two tensors of one shape, and many such changes in a few byte strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.lab.store import items, places
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


class Packed(NamedTuple):
    """The changes of many tensors as bytes: their places, the units of halves (float64), items by width."""

    places: bytes
    units: bytes
    items: dict[int, bytes]


def packed(found: Sequence[Change], sizes: Sequence[int]) -> Packed:
    """The changes of tensors with these many entries."""
    where = b"".join(places.pack(change.where, size) for change, size in zip(found, sizes, strict=True))
    units = np.array([change.unit for change in found if change.unit is not None], "<f8").tobytes()
    widths = sorted({change.items.shape[1] for change in found})
    held = {w: items.squeezed([c.items for c in found if c.items.shape[1] == w]) for w in widths}
    return Packed(where, units, held)


def joined(held: Packed) -> bytes:
    """All of it in a row; items of every width but the last are led by their length, 4 bytes."""
    pieces = [held.places, held.units]
    for width in sorted(held.items)[:-1]:
        pieces += [len(held.items[width]).to_bytes(4, "little"), held.items[width]]
    return b"".join([*pieces, *(held.items[width] for width in sorted(held.items)[-1:])])


def parted(content: bytes, counts: Mapping[str, int], old: Mapping[str, Tensor], halves: set[str]) -> Packed:
    """The inverse of `joined`, for what changed in these tensors."""
    start = sum(places.size(count, old[name].numel()) for name, count in counts.items())
    rest = start + 8 * sum(name in halves for name in counts)
    where, units, held = content[:start], content[start:rest], dict[int, bytes]()
    widths = sorted({_width(name, old, halves) for name in counts})
    for width in widths[:-1]:
        end = rest + 4 + int.from_bytes(content[rest : rest + 4], "little")
        held[width], rest = content[rest + 4 : end], end
    return Packed(where, units, held | dict.fromkeys(widths[-1:], content[rest:]))


def unpacked(
    held: Packed, counts: Mapping[str, int], old: Mapping[str, Tensor], halves: set[str]
) -> dict[str, Change]:
    """The inverse of `packed`: what changed, by name, in the order of `counts`."""
    widths = {name: _width(name, old, halves) for name in counts}
    totals = {width: sum(counts[n] for n in counts if widths[n] == width) for width in set(widths.values())}
    taken = {width: items.unsqueezed(held.items[width], width, n) for width, n in totals.items()}
    if len(held.units) != 8 * len(halves):
        raise ValueError(f"{len(held.units)} bytes for {len(halves)} units")
    codes, units = held.places, iter(np.frombuffer(held.units, "<f8").tolist())
    changes: dict[str, Change] = {}
    for name, count in counts.items():
        among, width = old[name].numel(), widths[name]
        length = places.size(count, among)
        where, codes = places.unpack(codes[:length], count, among), codes[length:]
        own, taken[width] = taken[width][:count], taken[width][count:]
        changes[name] = Change(where, own, next(units) if name in halves else None)
    return changes


def _width(name: str, old: Mapping[str, Tensor], halves: set[str]) -> int:
    """Bytes that a change of this tensor's entries takes."""
    return 2 if name in halves else old[name].element_size()


def applied(leaf: Tensor, change: Change) -> Tensor:
    """The tensor with the change, on the same device."""
    if change.unit is None:
        return items.flipped(leaf, change.where, change.items)
    # In float64 on the CPU, so that every machine rounds alike.
    moves = torch.from_numpy(change.items.copy().reshape(-1)).view(torch.float16).double() * change.unit
    wide = leaf.detach().cpu().double().reshape(-1)
    moved = wide.index_add(0, torch.from_numpy(change.where), moves)
    return moved.to(leaf.dtype).view(leaf.shape).to(leaf.device)
