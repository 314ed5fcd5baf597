"""Photos of other classes, to learn on first: what a source folder holds, and episodes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.photos import Photo, content_digest, photo_content, read_photo_folder
from metatl.data.source import Data, Tasks
from metatl.opening import text_of
from metatl.transferring.problem import Pictures, Problem
from metatl.types import Batch, Episode, MetatlError, Split


@dataclass(frozen=True)
class SourcePhotos:
    """The labelled photos of a folder, class by class; its own test part is not among them.

    key: digest of classes, labels and content; shared: class names that the problem has too.
    """

    folder: Path
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    key: str
    shared: tuple[str, ...]


def read_source(folder: Path, problem: Problem) -> SourcePhotos:
    """What the source holds. Raises MetatlError where it cannot serve.

    That is a folder with fewer than two classes, and a photo that is also one of the problem's: what is
    learned on the source would then know the label of a photo that judges, or of one that is not labelled.
    """
    found = read_photo_folder(folder)
    photos = tuple(sorted(found.labelled, key=lambda photo: photo.label))
    own = dict(zip(problem.digests, problem.files, strict=True))
    digests = [_digest(photo.file) for photo in photos]
    for photo, digest in zip(photos, digests, strict=True):
        if digest in own:
            raise MetatlError(
                f"source: {photo.file} is the same photo as {own[digest]}; a source that holds photos of the "
                "problem tells their labels beforehand: take them out of it"
            )
    said = json.dumps([found.classes, [photo.label for photo in photos], digests])
    shared = tuple(name for name in found.classes if name in problem.classes)
    return SourcePhotos(folder, found.classes, photos, hashlib.sha256(said.encode()).hexdigest()[:16], shared)


def _digest(file: Path) -> str:
    try:
        return content_digest(photo_content(file))
    except MetatlError:
        return ""


@dataclass(frozen=True)
class PhotoTasks(Data):
    """Episodes of source photos: meta_train alone; photos are read when they are drawn.

    places: the same episodes of the photos' places [n, 1]; pictures: the prepared photos; unreadable: files
    left out.
    """

    places: ClassData
    pictures: Pictures
    unreadable: tuple[str, ...]
    shape: tuple[int, ...]
    name: str = "source"
    kind = "classification"

    def outputs(self, tasks: Tasks) -> int:
        """One unit for each class of an episode."""
        return tasks.way

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError for more classes or photos than there are."""
        self.places.check(split, tasks)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Episodes first .. first + count - 1, stacked."""
        drawn = self.places.draw(split, tasks, seed, first, count)
        return Episode(self._seen(drawn.support), self._seen(drawn.query))

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """An ordinary mini-batch; y = class of the source."""
        return self._seen(self.places.batch(split, size, seed, step))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the places that these episodes draw."""
        return self.places.fingerprint(split, tasks, seed, count)

    def classes(self, split: Split) -> int:
        """Number of classes."""
        return self.places.classes(split)

    def describe(self) -> dict[str, Any]:
        """Classes and photos."""
        return self.places.describe()

    def _seen(self, rows: Batch) -> Batch:
        """Prepared photos [..., c, h, w] in place of their places [..., 1]."""
        at = rows.x.squeeze(-1)
        seen = [self.pictures.one(int(place)) for place in at.flatten().tolist()]
        x = torch.stack(seen) if seen else torch.zeros(0, *self.shape)
        return rows._replace(x=x.view(*at.shape, *self.shape))


def photo_tasks(source: SourcePhotos, prepare: Callable[[Any], Tensor]) -> PhotoTasks:
    """The source's photos as tasks. Photos that cannot be read are left out and named.

    Raises MetatlError where fewer than two photos of a class can be read.
    """
    pictures = Pictures([photo.file for photo in source.photos], prepare)
    places: list[int] = []
    for place in range(len(source.photos)):
        try:
            pictures.one(place)
        except MetatlError:
            continue
        places.append(place)
    sizes = np.bincount([source.photos[place].label for place in places], minlength=len(source.classes))
    if sizes.min() < 2:
        name = source.classes[int(sizes.argmin())]
        raise MetatlError(
            f"source: {sizes.min()} photos of class {name!r} can be read; give two or more, or take it out"
        )
    rows = torch.tensor(places, dtype=torch.int64).unsqueeze(-1)
    bank = Bank.sorted_by_class(rows, sizes.tolist(), source.classes)
    left = tuple(text_of(photo.file) for i, photo in enumerate(source.photos) if i not in set(places))
    shape = tuple(pictures.one(places[0]).shape)
    return PhotoTasks(ClassData("source", {"meta_train": bank}), pictures, left, shape)
