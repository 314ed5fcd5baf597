"""HAPT: smartphone motion of 30 people in 6 activities (Reyes-Ortiz et al. 2016); a task is a person."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch

from metatl.data.fetch import Files
from metatl.data.group_data import GroupData
from metatl.data.groups import GroupRows, Groups, Words
from metatl.data.labelled import Array, read_npz
from metatl.data.source import Source, device_of
from metatl.types import MetatlError, Split

ACTIVITIES = 6
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
    """Windows [6, 128] (accelerometer x, y, z, gyroscope x, y, z; 2.56 s at 50 Hz), standardised per channel.

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
        place = device_of(device)
        held = arrays(FILES.folder(self.root))
        train, test = ({*map(int, held[key])} for key in ("train_subjects", "test_subjects"))
        people = self._people(train | test, test)
        windows, standard = _standardised(held, people["meta_train"])
        parts: dict[Split, Groups] = {
            split: Groups.of(windows, own, ACTIVITIES, place, "hapt", WORDS)
            for split, own in people.items()
            if own
        }
        if not 1 <= self.group <= len(parts["meta_train"].ids):
            raise MetatlError(f"hapt: group is {self.group}; give 1 to {len(parts['meta_train'].ids)} people")
        names = tuple(str(name).lower() for name in held["activity"][:ACTIVITIES])
        left_out = {person for own in people.values() for person in own}
        left_out -= {person for part in parts.values() for person in part.ids}
        facts = {"split": "by subject", "activities": list(names)}
        facts |= {"standardised": "per channel, by meta_train", "left_out": sorted(left_out)}
        content = hashlib.sha256((digest(held) + repr(people)).encode()).hexdigest()[:16]
        shape = tuple(windows.x.shape[1:])
        return GroupData(
            parts, names, facts, content, shape, self.group, name="hapt", words=WORDS, standard=standard
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


def _standardised(
    held: dict[str, Array], train: list[int]
) -> tuple[GroupRows, tuple[list[float], list[float]]]:
    """Windows of the first six activities in units of the training people's deviations; means and these."""
    kept = held["y"] <= ACTIVITIES
    x, y, subject, recording = (held[key][kept] for key in ("x", "y", "subject", "experiment"))
    x = x * held["scale"].astype(np.float32)[:, None]
    seen = x[np.isin(subject, train)].astype(np.float64)
    mean, deviation = seen.mean((0, 2)), seen.std((0, 2))
    x = torch.from_numpy(((x - mean[:, None]) / deviation[:, None]).astype(np.float32))
    rows = GroupRows(x, y.astype(np.int64) - 1, subject, recording)
    return rows, (mean.tolist(), deviation.tolist())


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
