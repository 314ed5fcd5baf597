"""Which tensors of a weights file belong to which tensors of a net."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    the net that the file has not; other_shape: names of both, of two shapes, or of two kinds: codes of a
    quantised net (whole numbers, 8 bits), complex or sparse numbers, or none at all (of torch's device meta),
    for real ones of the net; how: what was done to find them.
    """

    tensors: dict[str, Tensor]
    left: tuple[str, ...]
    new: tuple[str, ...]
    other_shape: tuple[str, ...]
    how: str = ""

    def report(self, file: str, buffers: Collection[str] = ()) -> str:
        """One line: what was loaded, left out, new, of another shape; buffers: the net's, never random."""
        total = _weights(self.tensors) + _weights(self.new) + _weights(self.other_shape)
        parts = [f"{_weights(self.tensors)} of {total} tensors from {file}{self.how}"]
        kinds = {
            "left out": self.left,
            "not in the file, random": [name for name in self.new if name not in buffers],
            "not in the file, as the net makes them": [name for name in self.new if name in buffers],
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

    The mappings together count as one more, with their places in the names, where that fits better (an
    encoder's beside a head's); others that would have served (a moving average) are named. remade: by the
    net's names, how a tensor of another shape is made to fit (see `channels.in_channels`).
    Raises MetatlError where fewer than half of the tensors fit, of the net's or of the file's, whichever are
    fewer (an encoder's file may fill a small part of a larger net), or one of them is not finite.
    """
    kept = {
        name: leaf for name, leaf in module.state_dict(keep_vars=True).items() if isinstance(leaf, Tensor)
    }
    own = {name: leaf.detach() for name, leaf in kept.items()}
    together = {f"{place}.{name}": leaf for place, one in found.items() for name, leaf in one.items()}
    tried = [*found.items(), *([("", together)] if len(found) > 1 else [])]
    fits = [(place, tensors, tied(best_fit(own, tensors, remade), kept)) for place, tensors in tried]
    place, tensors, best = max(fits, key=lambda one: len(one[2].tensors))  # the first of equals
    if not _serves(best, own, tensors):
        theirs = _listed(max(found.values(), key=len))
        raise MetatlError(
            f"{file}: only {_weights(best.tensors)} of the net's {_weights(own)} tensors fit, less than "
            f"half: these are another net's weights; the net has {_listed(own)}; the file has {theirs}"
        )
    for name, leaf in best.tensors.items():
        if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            raise MetatlError(f"{file}: {name} holds values that are not finite; the file is damaged")
    module.load_state_dict({**own, **best.tensors}, strict=False)
    inside = f" ({place!r} in it)" if place else ""
    beside = [one for one, held, fit in fits if one not in ("", place) and _serves(fit, own, held)]
    also = (
        f"; not taken, but fits too: {_listed(map(repr, beside))}"
        if beside and tensors is not together
        else ""
    )
    return best.report(file.name + inside, {name for name, _ in module.named_buffers()}) + also


def best_fit(
    own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], remade: Mapping[str, Remade] | None = None
) -> Fit:
    """The fit with most tensors over all prefixes taken off the file's names or set before them.

    Parts of the net of which none has the prefix (a head beside a wrapped body) fit under their own names.
    """
    least = min(len(own), len(theirs)) / 2
    off, on = (_prefixes(names, least) for names in (theirs, own))
    tries = [(taken, put) for put in ("", *on) for taken in ("", *off)]
    counts = {pair: _count(own, theirs, *pair) for pair in tries}
    prefix, before = max(counts, key=lambda pair: counts[pair])  # the first of equals
    named = {before + key.removeprefix(prefix): key for key in theirs if key.startswith(prefix)}
    parts = {name.partition(".")[0] for name in named}
    beside = {key: key for key in theirs if key in own and key.partition(".")[0] not in parts}
    named |= {name: key for name, key in beside.items() if not key.startswith(prefix)}
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


def tied(fit: Fit, kept: Mapping[str, Tensor]) -> Fit:
    """The fit where several of the net's names are one tensor (kept: its own tensors, by name).

    One of them in the file is enough; where the file has several that differ, the first is taken, which is
    said.
    """
    names = dict[int, list[str]]()
    for name, leaf in kept.items():
        names.setdefault(id(leaf), []).append(name)
    tensors, how = dict(fit.tensors), fit.how
    for group in names.values():
        held = [name for name in group if name in fit.tensors]
        for name in group if held and len(group) > 1 else ():
            if name in held and not torch.equal(fit.tensors[name], fit.tensors[held[0]]):
                how += (
                    f", {name} is one with {held[0]} in the net and differs in the file: the latter's taken"
                )
            tensors[name] = fit.tensors[held[0]]
    new, other = (tuple(n for n in names if n not in tensors) for names in (fit.new, fit.other_shape))
    return Fit(tensors, fit.left, new, other, how)


def _as(leaf: Tensor, like: Tensor, remade: Remade | None) -> tuple[Tensor | None, str]:
    """The file's tensor in the type of the net's, and what was done; None where it does not fit."""
    if _kind(leaf) != _kind(like):
        return None, ""
    done = ""
    if leaf.shape != like.shape and remade is not None:
        leaf, done = remade(leaf, like) or (leaf, "")
    return (leaf.to(like.dtype), done) if leaf.shape == like.shape else (None, "")


def _kind(leaf: Tensor) -> tuple[Any, ...]:
    real = leaf.is_floating_point() and leaf.element_size() > 1  # 8 bits are codes, with a scale beside them
    return real, leaf.is_complex(), leaf.layout, leaf.is_meta


def _serves(fit: Fit, own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    fitting = _weights(fit.tensors)
    return fitting > 0 and 2 * fitting >= min(_weights(own), _weights(theirs))


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
