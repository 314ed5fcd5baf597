"""The people of HAPT as sensors.py needs them: windows by person and recording, a source of some people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import study
import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.domain_data import DomainData

ACTIVITIES, FOLDS = 6, 5
TUNED_ON = (5, 11, 17, 23, 29)
PEOPLE = tuple(person for person in range(1, 31) if person not in TUNED_ON)
"""Who is judged."""


class Windows(NamedTuple):
    """Windows x [n, 6, 128] and activities y [n]."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Source:
    """Labelled windows of several people, every channel with mean 0 and deviation 1 over them."""

    x: Tensor
    y: Tensor
    mean: Tensor
    deviation: Tensor

    def ways(self, person: Sequence[Windows]) -> list[tuple[Windows, Windows]]:
        """The recording that is given and the one that judges, both ways round, in the source's units."""
        one, other = (Windows((own.x - self.mean) / self.deviation, own.y) for own in person)
        return [(one, other), (other, one)]


def read() -> dict[int, tuple[Windows, Windows]]:
    """By person the two recordings (of a third the windows are the second's too), six activities."""
    found = dict[int, tuple[Windows, Windows]]()
    with np.load(study.data("hapt/hapt_windows_128.npz")) as held:
        x, y, who, recording = (held[name] for name in ("x", "y", "subject", "experiment"))
        scale = held["scale"].astype(np.float32)
    for person in range(1, 31):
        own = (who == person) & (y <= ACTIVITIES)
        first = recording == recording[own].min()
        sides = (own & first, own & ~first)
        one, other = (
            Windows(
                torch.from_numpy(x[at].astype(np.float32) * scale[:, None]),
                torch.from_numpy(y[at].astype(np.int64) - 1),
            )
            for at in sides
        )
        found[person] = one, other
    return found


def source_of(people: Mapping[int, Sequence[Windows]], left_out: Sequence[int]) -> Source:
    """Of everybody but these and the five who choose values."""
    own = [part for person in PEOPLE if person not in left_out for part in people[person]]
    x, y = torch.cat([part.x for part in own]), torch.cat([part.y for part in own])
    mean, deviation = (of(x, dim=(0, 2), keepdim=True)[0] for of in (torch.mean, torch.std))
    order = y.argsort(stable=True)
    return Source(((x - mean) / deviation)[order], y[order], mean, deviation)


def folds() -> list[list[int]]:
    """Five people each; together all who are judged."""
    return [list(PEOPLE[k::FOLDS]) for k in range(FOLDS)]


def data_of(source: Source, target: Tensor) -> DomainData:
    """The source's labelled windows, the target's without labels."""
    sizes = torch.bincount(source.y, minlength=ACTIVITIES).tolist()
    bank = Bank.sorted_by_class(source.x, sizes, [str(c) for c in range(ACTIVITIES)])
    labelled = ClassData("people", dict.fromkeys(("meta_train", "meta_val", "meta_test"), bank))
    rows: dict[str, Any] = {
        name: Bank.sorted_by_class(x, [len(x)], ["rows"])
        for name, x in (("source", source.x), ("target", target))
    }
    return DomainData(labelled, rows, ("source",), "target")
