"""A transfer as its difference to another: what a personalised model costs beside the base it came from."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from metatl.lab.store.changes import Packed, applied, changed, joined, packed, parted, unpacked
from metatl.lab.store.items import constant, stored
from metatl.lab.store.tensors import SEP, digest, flat, grouped, orders, read_tensors, write_tensors
from metatl.types import MetatlError, Params, Transfer

Precision = Literal["exact", "half"]
"""exact: the very bits; half: 16 bits a change (see `save_delta`)."""
_ROUNDED = (torch.float32, torch.float64)
_RESULT = 16
"""Digits of the result's hash: what is left to it is a reader that understands a file otherwise."""
_TIMES, _ANYWAY = 4, 1 << 26
"""What constant tensors of a delta may unfold to: so many times its base, and 64 MiB in any case."""
_CHANGES = "changes"
"""The one tensor that holds all differences; tensors stored whole have names with `SEP` in them."""


def save_delta(
    path: Path,
    base: Transfer,
    transfer: Transfer,
    precision: Precision = "exact",
    meta: Mapping[str, str] | None = None,
) -> None:
    """Write what `transfer` changes in `base`, as safetensors, bound to `base` by the hash of its content.

    exact: `apply_delta` gives the transfer back bit by bit; a changed float32 weight takes 4 bytes (fewer
    where old and new bits are alike) and about 2 + log2(1 / share changed) bits for its place. half: changes
    d of weights are float16 in units of their tensor's largest, to 2^-11 |d| + 2^-25 max |d|; all else stays
    exact. A tensor of a new shape (a fresh head) is stored whole, and places are left out where that is
    smaller. Raises MetatlError for a change that float16 cannot hold.
    """
    if precision not in get_args(Precision):
        raise MetatlError(f"precision is {precision!r}; it is one of {', '.join(get_args(Precision))}")
    old, new = flat(base), flat(transfer)
    shared = _shared(old, new)
    whole = {name: leaf for name, leaf in new.items() if name not in shared}
    changes = {
        i: changed(name, old[name], new[name], _rounded(name, old[name], precision))
        for i, name in enumerate(shared)
    }
    changes = {i: change for i, change in changes.items() if len(change.where)}
    header = {**(meta or {}), "base": digest(old), "precision": precision}
    header["counts"] = _compact([[i, len(change.where)] for i, change in changes.items()])
    # One entry stands for all where they are alike: the guide of a fresh head.
    alike = {name for name, leaf in whole.items() if constant(leaf)}
    if alike:
        header["whole"] = _compact({name: list(whole[name].shape) for name in sorted(alike)})
    if orders(transfer) != orders(base):
        header["names"] = _compact(orders(transfer))
    tensors = {n: leaf.reshape(-1)[:1] if n in alike else leaf for n, leaf in whole.items()}
    if changes:
        held = packed(list(changes.values()), [old[shared[i]].numel() for i in changes])
        tensors[_CHANGES] = stored(joined(held))
    result = digest(flat(_applied(base, tensors, header)))
    header["result"] = result[:_RESULT]
    if precision == "exact" and result != digest(new):
        raise MetatlError(f"{path}: this transfer cannot be told as a difference; save it whole")
    write_tensors(path, "delta", tensors, header)


def load_delta(path: Path, base: Transfer) -> tuple[Transfer, dict[str, str]]:
    """The transfer that was saved, on the base's devices, and the file's notes.

    Raises MetatlError in one line for another base, and for a missing, foreign, newer or damaged file.
    """
    tensors, header = read_tensors(path, "delta")
    own, wanted = digest(flat(base)), header.get("base", "")
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise MetatlError(f"{path} is damaged (it names no base); restore it or save it again")
    if wanted != own:
        raise MetatlError(
            f"{path} belongs to a base with SHA-256 {wanted[:12]}..., and this one has {own[:12]}...; "
            "apply it to the transfer that it was made from"
        )
    try:
        made = _applied(base, tensors, header)
        whole = digest(flat(made)).startswith(header["result"]) and len(header["result"]) >= _RESULT
    except MetatlError as error:
        raise MetatlError(f"{path}: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, zlib.error) as error:
        raise MetatlError(
            f"{path} is damaged ({type(error).__name__}); restore it or save it again"
        ) from error
    if not whole:
        raise MetatlError(f"{path} is damaged (its result differs); restore it or save it again")
    return made, header


def apply_delta(path: Path, base: Transfer) -> Transfer:
    """`load_delta` without the notes."""
    return load_delta(path, base)[0]


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shared(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> list[str]:
    """Names of which a difference can be told, in an order that does not depend on the dictionaries'."""
    return sorted(n for n in new if n in old and (new[n].shape, new[n].dtype) == (old[n].shape, old[n].dtype))


def _rounded(name: str, leaf: Tensor, precision: str) -> bool:
    return precision == "half" and name.startswith("params" + SEP) and leaf.dtype in _ROUNDED


def _applied(base: Transfer, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> Transfer:
    old = flat(base)
    names: dict[str, list[str]] = json.loads(header["names"]) if "names" in header else orders(base)
    shapes: dict[str, list[int]] = json.loads(header.get("whole", "{}"))
    whole = {name for name in tensors if SEP in name}
    shared = sorted({f"{group}{SEP}{name}" for group, found in names.items() for name in found} - whole)
    _check_room(shapes, tensors, old)
    counts = {shared[i]: int(count) for i, count in json.loads(header["counts"])}
    if not all(0 < count <= old[name].numel() for name, count in counts.items()):
        raise ValueError("more changes than entries")
    halves = {name for name in counts if _rounded(name, old[name], header["precision"])}
    made = {name: old[name] for name in shared}
    held = _held(tensors, counts, old, halves)
    for name, change in unpacked(held, counts, old, halves).items():
        made[name] = applied(old[name], change)
    device = next((leaf.device for leaf in old.values()), torch.device("cpu"))
    for name in whole:
        leaf = tensors[name]
        alike = leaf.numel() == 1  # in version 1 those of more entries have their shapes told too
        made[name] = (leaf.reshape(()).expand(shapes[name]).clone() if alike else leaf).to(device)
    return grouped(made, names)


def _check_room(shapes: Mapping[str, list[int]], tensors: Mapping[str, Tensor], old: Params) -> None:
    """Raise MetatlError for shapes that a few bytes of a file claim and no personal model has."""
    asked = sum(math.prod(shape) * tensors[name].element_size() for name, shape in shapes.items())
    room = max(_ANYWAY, _TIMES * sum(leaf.numel() * leaf.element_size() for leaf in old.values()))
    if not 0 <= asked <= room or any(size < 0 for shape in shapes.values() for size in shape):
        raise MetatlError(
            f"a delta that unfolds to {asked >> 20:,} MiB is not read; its base allows {room >> 20:,} MiB"
        )


def _held(
    tensors: Mapping[str, Tensor], counts: Mapping[str, int], old: Mapping[str, Tensor], halves: set[str]
) -> Packed:
    """What a file holds of changes: in one tensor, or, in version 1, in one for each kind of content."""
    plain = {name: leaf.numpy().tobytes() for name, leaf in tensors.items() if SEP not in name}
    if _CHANGES in plain or not plain:
        return parted(plain.get(_CHANGES, b""), counts, old, halves)
    items = {int(name.removeprefix("items")): plain[name] for name in plain if name.startswith("items")}
    return Packed(plain.get("places", b""), plain.get("units", b""), items)
