"""HAPT: smartphone motion of 30 people in 6 activities (Reyes-Ortiz et al. 2016); a task is a person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from metatl.data.fetch import Files
from metatl.data.group_arrays import GroupArrays
from metatl.data.group_data import GroupData
from metatl.data.groups import Groups, Words
from metatl.data.labelled import Array, read_npz
from metatl.data.source import SPLITS, Source
from metatl.types import MetatlError, Split

LEAST = 1000
"""Windows of each of the six activities at least; the transitions between them have fewer."""
WORDS = Words("person", "subjects", "window", "recording")
FILES = Files(
    "hapt",
    (("hapt_windows_128.npz",),),
    (),
    "UCI's HAPT set cut into windows: int16 x[10929, 6, 128], scale, y, subject, experiment, ...",
)
OFFICIAL = "1f41dd283ae1e24b175780eb13c08b17bf03367853b5db793d888b2b0d842eda"
"""SHA-256 over the bytes of x, y, subject, experiment."""
_SHAPES = {
    "x": (10929, 6, 128),
    "scale": (6,),
    "y": (10929,),
    "subject": (10929,),
    "experiment": (10929,),
    "activity": (12,),
    "train_subjects": (21,),
    "test_subjects": (9,),
}


@final
@dataclass(frozen=True)
class Hapt(Source):
    """The published people of a file that `GroupArrays` reads: windows [6, 128], standardised per channel.

    Of accelerometer x, y, z and gyroscope x, y, z; 2.56 s at 50 Hz.
    root: the folder of hapt_windows_128.npz; else `$METATL_DATA/hapt` or the cache. meta_test is
    `test_subjects`, by default the official 9; meta_train and meta_val divide the others (`val_subjects` are
    meta_val; none of them, and there is nobody to choose values on). Mean and deviation are those of
    meta_train. The six activities without the transitions; the same labels in every task. group: how many
    people a task of meta_train joins, `shot` windows of each activity from every one of them.
    """

    root: str | None = None
    val_subjects: tuple[int, ...] = (5, 11, 17, 23, 29)
    test_subjects: tuple[int, ...] | None = None
    group: int = 1

    def load(self, device: str = "cpu") -> GroupData:
        """Read, check, standardise; MetatlError if the file is missing or damaged or a subject unknown."""
        folder = FILES.folder(self.root)
        held = arrays(folder)
        train, test = ({*map(int, held[key])} for key in ("train_subjects", "test_subjects"))
        people = self._people(train | test, test)
        if not 1 <= self.group <= len(people["meta_train"]):
            raise MetatlError(f"hapt: group is {self.group}; give 1 to {len(people['meta_train'])} people")
        made = columns(folder, people, self.group).load(device)
        parts: dict[Split, Groups] = {split: _numbered(part) for split, part in made.groups.items()}
        left_out = {person for own in people.values() for person in own}
        left_out -= {person for part in parts.values() for person in part.ids}
        facts = {"split": "by subject", "activities": list(made.labels)}
        facts |= {"standardised": "per channel, by meta_train", "left_out": sorted(left_out)}
        content = hashlib.sha256((digest(held) + repr(people)).encode()).hexdigest()[:16]
        return GroupData(
            parts,
            made.labels,
            facts,
            content,
            made.shape,
            self.group,
            name="hapt",
            words=WORDS,
            standard=made.standard,
        )

    def _people(self, everybody: set[int], official: set[int]) -> dict[Split, list[int]]:
        """Who is in which split; MetatlError for one without people, a person in two or an unknown one."""
        test = official if self.test_subjects is None else set(self.test_subjects)
        if not test or not test < everybody:
            raise MetatlError(f"hapt: test_subjects must be some, not all, of {sorted(everybody)}")
        train, val = everybody - test, set(self.val_subjects)
        if not val < train:
            raise MetatlError(
                f"hapt: val_subjects must be some, not all, of the training subjects {sorted(train)}, or none"
            )
        return {"meta_train": sorted(train - val), "meta_val": sorted(val), "meta_test": sorted(test)}


def columns(folder: Path, people: Mapping[Split, list[int]], join: int = 1) -> GroupArrays:
    """The file as what it is: arrays of which one says the person and one the recording."""
    train, val, test = (tuple(map(str, people[split])) for split in SPLITS)
    return GroupArrays(
        str(folder / FILES.layouts[0][0]),
        "subject",
        "experiment",
        train=train,
        val=val,
        test=test,
        join=join,
        names="activity",
        smallest=LEAST,
        scale="scale",
        standardise=True,
    )


def _numbered(part: Groups) -> Groups:
    """People by their numbers."""
    person, label, count = part.smallest
    return replace(part, ids=tuple(map(int, part.ids)), smallest=(int(person), label, count))


def arrays(folder: Path) -> dict[str, Array]:
    """The file's arrays; MetatlError if one is missing or has another shape."""
    file = folder / FILES.layouts[0][0]
    held = read_npz(file, tuple(_SHAPES))
    for key, shape in _SHAPES.items():
        if key not in held or held[key].shape != shape:
            found = list(held[key].shape) if key in held else "missing"
            raise MetatlError(f"{file}: {key} is {found}, not {list(shape)}: get it again")
    return held


def digest(held: dict[str, Array]) -> str:
    """Of the content; equal to OFFICIAL when every window is as published."""
    parts = (np.ascontiguousarray(held[key]).tobytes() for key in ("x", "y", "subject", "experiment"))
    return hashlib.sha256(b"".join(parts)).hexdigest()
