"""HAPT: what is in the file of smartphone motion of 30 people in 6 activities (Reyes-Ortiz et al. 2016).

It is an npz file with columns, and `GroupArrays` reads it: see configs/hapt.yaml.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from metatl.data.fetch import Files
from metatl.data.labelled import Array, read_npz
from metatl.types import MetatlError

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
