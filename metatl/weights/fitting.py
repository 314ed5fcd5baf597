"""Which tensors of a weights file belong to which tensors of a net."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from metatl.types import MetatlError

_LISTED = 8
Remade = Callable[[Tensor, Tensor], tuple[Tensor, str] | None]
"""(the file's tensor, the net's, of another shape) -> one of the net's shape, and what was done; or None."""
_COUNTERS = "num_batches_tracked"
"""How often a batch norm was called: no weight, and older files lack it."""


@dataclass(frozen=True)
class Fit:
    """A file's tensors beside a net's.

    tensors: those that fit, by the net's names; left: names of the file that the net has not; new: names of
    the net that the file has not; other_shape: names of both, of two shapes, or whole numbers in the file for
    real ones of the net (codes of a quantised net); how: what was done to find them.
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
            "of another shape or kind, random": self.other_shape,
        }
        parts += [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if _weights(names)]
        return "; ".join(parts)


def load(
    module: nn.Module,
    found: Mapping[str, Mapping[str, Tensor]],
    file: Path,
    remade: Mapping[str, Remade] | None = None,
) -> str:
    """Load into the module what fits best of the mappings of a file; the report, one line.

    remade: by the net's names, how a tensor of another shape is made to fit (see `in_channels`).
    Raises MetatlError where fewer than half of the tensors fit, of the net's or of the file's, whichever are
    fewer (an encoder's file may fill a small part of a larger net), or one of them is not finite.
    """
    own = dict(module.state_dict())
    fits = [(place, best_fit(own, tensors, remade)) for place, tensors in found.items()]
    place, best = max(fits, key=lambda pair: len(pair[1].tensors))  # the first of equals
    total, held, fitting = _weights(own), _weights(found[place]), _weights(best.tensors)
    if 2 * fitting < min(total, held) or not fitting:
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


def best_fit(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], remade: Mapping[str, Remade] | None = None
) -> Fit:
    """The fit with most tensors over all prefixes taken off the file's names or set before them."""
    least = min(len(own), len(theirs)) / 2
    off, on = (_prefixes(names, least) for names in (theirs, own))
    tries = [(taken, put) for put in ("", *on) for taken in ("", *off)]
    counts = {pair: _count(own, theirs, *pair) for pair in tries}
    prefix, before = max(counts, key=lambda pair: counts[pair])  # the first of equals
    named = {before + key.removeprefix(prefix): key for key in theirs if key.startswith(prefix)}
    how = f", prefix {prefix!r} taken off" if prefix else ""
    how += f", prefix {before!r} set before its names" if before else ""
    fitting: dict[str, Tensor] = {}
    for name, key in named.items():
        if name not in own:
            continue
        leaf, done = _as(theirs[key], own[name], (remade or {}).get(name))
        if leaf is not None:
            fitting[name] = leaf
            how += f", {name} {done}" if done else ""
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


def in_channels(leaf: Tensor, like: Tensor) -> tuple[Tensor, str] | None:
    """A first convolution [out, in, h, w] for the channels of the net's (`of_channels`), and what is done."""
    if leaf.dim() != like.dim() or leaf.shape[:1] + leaf.shape[2:] != like.shape[:1] + like.shape[2:]:
        return None
    return of_channels(leaf, like.shape[1]), f"made for {like.shape[1]} channels out of {leaf.shape[1]}"


def _as(leaf: Tensor, like: Tensor, remade: Remade | None) -> tuple[Tensor | None, str]:
    """The file's tensor in the type of the net's, and what was done; None where it does not fit."""
    if leaf.is_floating_point() != like.is_floating_point():
        return None, ""
    done = ""
    if leaf.shape != like.shape and remade is not None:
        leaf, done = remade(leaf, like) or (leaf, "")
    return (leaf.to(like.dtype), done) if leaf.shape == like.shape else (None, "")


def _count(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], prefix: str, before: str) -> int:
    pairs = (
        (before + key.removeprefix(prefix), leaf) for key, leaf in theirs.items() if key.startswith(prefix)
    )
    return sum(name in own and own[name].shape == leaf.shape for name, leaf in pairs)


def _prefixes(names: Iterable[str], least: float) -> list[str]:
    """`a.`, `a.b.`, `a.b.c.` and so on of the names, where at least so many names start with it."""
    parts = [name.split(".")[:-1] for name in names]
    counts = Counter(".".join(part[: n + 1]) + "." for part in parts for n in range(len(part)))
    return [prefix for prefix, count in counts.items() if count >= least]


def _weights(names: Iterable[str]) -> int:
    return sum(not name.endswith(_COUNTERS) for name in names)


def _listed(names: Iterable[str]) -> str:
    listed = [name for name in names if not name.endswith(_COUNTERS)]
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + more
