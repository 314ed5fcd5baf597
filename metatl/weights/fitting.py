"""Which tensors of a weights file belong to which tensors of a net."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from metatl.types import MetatlError

_LISTED = 8
_DEEPEST = 3
_COUNTERS = "num_batches_tracked"
"""How often a batch norm was called: no weight, and older files lack it."""


@dataclass(frozen=True)
class Fit:
    """A file's tensors beside a net's.

    tensors: those that fit, by the net's names; left: names of the file that the net has not; new: names of
    the net that the file has not; other_shape: names of both, of two shapes; how: what was done to find them.
    """

    tensors: dict[str, Tensor]
    left: tuple[str, ...]
    new: tuple[str, ...]
    other_shape: tuple[str, ...]
    how: str = ""

    def report(self, file: str) -> str:
        """One line: what was loaded, left out, new, of another shape."""
        total = _weights(self.tensors) + _weights(self.new) + _weights(self.other_shape)
        parts = [f"{_weights(self.tensors)} of {total} tensors from {file}{self.how}"]
        kinds = {
            "left out": self.left,
            "not in the file, random": self.new,
            "of another shape, random": self.other_shape,
        }
        parts += [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if _weights(names)]
        return "; ".join(parts)


def load(
    module: nn.Module, found: Mapping[str, Mapping[str, Tensor]], file: Path, first: str | None = None
) -> str:
    """Load into the module what fits best of the mappings of a file; the report, one line.

    first: name of the first convolution, which also fits another number of channels (see `of_channels`).
    Raises MetatlError where less than half of the net's tensors fit, or one of them is not finite.
    """
    own = dict(module.state_dict())
    fits = [(place, best_fit(own, tensors, first)) for place, tensors in found.items()]
    place, best = max(fits, key=lambda pair: len(pair[1].tensors))  # the first of equals
    total, fitting = _weights(own), _weights(best.tensors)
    if 2 * fitting < total:
        theirs = _listed(max(found.values(), key=len))
        raise MetatlError(
            f"{file}: only {fitting} of the net's {total} tensors fit, less than half: these are another "
            f"net's weights; the net has {_listed(own)}; the file has {theirs}"
        )
    for name, leaf in best.tensors.items():
        if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            raise MetatlError(f"{file}: {name} holds values that are not finite; the file is damaged")
    module.load_state_dict({**own, **best.tensors})
    inside = f" ({place!r} in it)" if place else ""
    return best.report(file.name + inside)


def best_fit(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], first: str | None = None) -> Fit:
    """The fit with most tensors over all prefixes taken off the file's names or set before them."""
    off, on = (list(_prefixes(names, len(own) / 2)) for names in (theirs, own))
    tries = [(taken, put) for put in ("", *on) for taken in ("", *off)]
    counts = {pair: _count(own, theirs, *pair) for pair in tries}
    prefix, before = max(counts, key=lambda pair: counts[pair])  # the first of equals
    named = {before + key.removeprefix(prefix): key for key in theirs if key.startswith(prefix)}
    how = f", prefix {prefix!r} taken off" if prefix else ""
    how += f", prefix {before!r} set before its names" if before else ""
    fitting: dict[str, Tensor] = {}
    for name, key in named.items():
        if name in own and (leaf := _as(theirs[key], own[name], name == f"{first}.weight")) is not None:
            fitting[name] = leaf
            if leaf.shape != theirs[key].shape:
                how += f", {name} made for {leaf.shape[1]} channels out of {theirs[key].shape[1]}"
    taken = {named[name] for name in named if name in own}
    return Fit(
        fitting,
        tuple(key for key in theirs if key not in taken),
        tuple(name for name in own if name not in named),
        tuple(name for name in named if name in own and name not in fitting),
        how,
    )


def in_order(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The file's tensors under the net's names, one after another.

    Raises MetatlError unless both have the same shapes in the same order.
    """
    if [leaf.shape for leaf in own.values()] != [leaf.shape for leaf in theirs.values()]:
        raise MetatlError(f"{file} has not the net's tensors in the net's order; is it another version?")
    return dict(zip(own, theirs.values(), strict=True))


def of_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution [out, before, ...] for another number of channels, its output of the same size.

    For one channel the sum over the file's channels (grey is all three alike), else the channels in turn,
    times before / channels. The rule of timm.
    """
    before = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % before] * (before / channels)


def _as(leaf: Tensor, like: Tensor, first: bool) -> Tensor | None:
    """The file's tensor for this one of the net, in its type; None where it does not fit."""
    shape, wanted = leaf.shape, like.shape
    if (
        shape != wanted
        and first
        and len(shape) == len(wanted)
        and shape[:1] + shape[2:] == wanted[:1] + wanted[2:]
    ):
        leaf = of_channels(leaf, wanted[1])
    return leaf.to(like.dtype) if leaf.shape == wanted else None


def _count(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], prefix: str, before: str) -> int:
    pairs = (
        (before + key.removeprefix(prefix), leaf) for key, leaf in theirs.items() if key.startswith(prefix)
    )
    return sum(name in own and own[name].shape == leaf.shape for name, leaf in pairs)


def _prefixes(names: Iterable[str], least: float) -> list[str]:
    """`a.`, `a.b.` and `a.b.c.` of the names, where at least so many names start with it."""
    parts = [name.split(".")[:-1][:_DEEPEST] for name in names]
    counts = Counter(".".join(part[: n + 1]) + "." for part in parts for n in range(len(part)))
    return [prefix for prefix, count in counts.items() if count >= least]


def _weights(names: Iterable[str]) -> int:
    return sum(not name.endswith(_COUNTERS) for name in names)


def _listed(names: Iterable[str]) -> str:
    listed = [name for name in names if not name.endswith(_COUNTERS)]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more
