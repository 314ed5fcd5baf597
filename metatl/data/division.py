"""Dividing classes, or groups, into meta_train, meta_val and meta_test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from metatl.data.counter import first_of_shuffle, number
from metatl.data.source import SPLITS
from metatl.types import MetatlError, Split

_SHUFFLE = 401


def shares(
    n: int, fractions: tuple[float, ...], seed: int, where: str, what: str = "classes"
) -> dict[Split, list[int]]:
    """Places of each split's classes: shares of a shuffled order, cut at rounded places, each part sorted."""
    if any(share < 0 for share in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise MetatlError(
            f"{where}: fractions are {list(fractions)}: they must be three shares that add up to 1"
        )
    order = first_of_shuffle(torch.tensor(number(_SHUFFLE, seed)), n, n, n).tolist()
    cuts = [0, round(n * fractions[0]), round(n * (fractions[0] + fractions[1])), n]
    parts: dict[Split, list[int]] = {
        split: sorted(order[cuts[k] : cuts[k + 1]]) for k, split in enumerate(SPLITS)
    }
    for split, share in zip(SPLITS, fractions, strict=True):
        if share and not parts[split]:
            raise MetatlError(
                f"{where}: {n} {what} leave none for {split}: change fractions, or list the {what}"
            )
    return parts


def listed(
    known: Sequence[str], named: Mapping[Split, tuple[str, ...]], where: str, what: str = "class"
) -> dict[Split, list[int]]:
    """Places of the classes listed for each split; MetatlError for an unknown one or one listed twice."""
    places = {name: place for place, name in enumerate(known)}
    everything = [name for names in named.values() for name in names]
    for name in everything:
        if name not in places:
            raise MetatlError(f"{where}: there is no {what} {name!r}; it has {', '.join(known[:8])} ...")
        if everything.count(name) > 1:
            raise MetatlError(f"{where}: {what} {name!r} is listed twice: splits share no {what}")
    return {split: [places[name] for name in names] for split, names in named.items()}
