"""CIFAR-10 for studies: its pictures as folders of files, and a net that was learned on it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import study
from numpy.typing import NDArray
from PIL import Image

Pictures = NDArray[np.uint8]
"""[n, 32, 32, 3]."""
WEIGHTS = "weights/resnet20-12fca82f.th"
NET = "scripts.cifar_net.resnet20"


def net() -> str:
    """The net with its published weights, as --net has it."""
    return f"{NET}@{study.data(WEIGHTS)}"


def held() -> tuple[Pictures, NDArray[np.int64], NDArray[np.bool_], list[str]]:
    """Pictures, their classes, whether they are of the test part, and the classes' names."""
    with np.load(study.data("cifar10/cifar10_11000.npz"), allow_pickle=False) as file:
        return file["x"], file["y"].astype(np.int64), file["split"] == 1, file["names"].tolist()


def write(
    folder: Path,
    pictures: Pictures,
    names: Sequence[str],
    test: NDArray[np.bool_] | None = None,
    change: Callable[[Pictures], Pictures] = lambda x: x,
) -> None:
    """Pictures, changed, as train|test/<class>/<number>.png, <class>/... without a test part.

    Nothing where the folder is there already.
    """
    if folder.is_dir():
        return
    parts = [""] * len(names) if test is None else ["test" if judged else "train" for judged in test]
    with tempfile.TemporaryDirectory(dir=made(folder.parent)) as place:
        for i, (picture, name, part) in enumerate(zip(change(pictures), names, parts, strict=True)):
            file = made(Path(place) / "written" / part / name) / f"{i:05d}.png"
            Image.fromarray(picture).save(file)
        (Path(place) / "written").rename(folder)


def made(folder: Path) -> Path:
    """The folder, which is there now."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder
