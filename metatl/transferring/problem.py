"""A folder of photos as a fixed problem: labels, content, features, prepared pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.data.fixed import Fixed, Index
from metatl.data.images import as_seen
from metatl.data.photos import Photo, TestPart, content_digest, photo_content, read_photo_folder
from metatl.opening import text_of
from metatl.transferring.backbone import Backbone, features
from metatl.types import MetatlError

_MOST_HELD = 1 << 30
"""Bytes of prepared photos that stay in memory."""
Tick = Callable[[int, int], None]


@dataclass
class Pictures:
    """Prepared photos by place, read when they are asked for and held as long as memory allows."""

    files: Sequence[Path]
    prepare: Callable[[Any], Tensor]
    _held: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    _bytes: int = 0

    def one(self, place: int) -> Tensor:
        """The prepared photo [c, h, w]; raises MetatlError naming a file that cannot be read."""
        if place in self._held:
            return self._held[place]
        file = self.files[place]
        x = self.prepare(as_seen(photo_content(file), str(file)))
        if self._bytes + x.nbytes <= _MOST_HELD:
            self._held[place] = x
            self._bytes += x.nbytes
        return x

    def some(self, places: Index) -> Tensor:
        """The prepared photos [n, c, h, w]."""
        return torch.stack([self.one(int(place)) for place in places])


@dataclass(frozen=True)
class Problem:
    """A fixed problem on photos.

    classes: names; files, labels [n], digests: of the photos; features [n, d]: of the frozen body; pictures:
    the prepared photos; task: which rows are labelled and which judge; part: where the latter come from;
    unreadable: files left out; twins: test photos whose bytes are also among the labelled ones.
    """

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: Index
    digests: tuple[str, ...]
    features: Tensor
    pictures: Pictures
    task: Fixed
    part: TestPart
    unreadable: tuple[str, ...]

    @property
    def twins(self) -> int:
        """Test photos with the bytes of a labelled one."""
        test = self.task.test
        if test is None:
            return 0
        labelled = {self.digests[i] for i in self.task.pool}
        return sum(self.digests[i] in labelled for i in test)


def read_problem(folder: Path, net: Backbone, seed: int, tick: Tick = lambda done, total: None) -> Problem:
    """The photos of a folder with their features. Unreadable ones are left out and named.

    Raises MetatlError in one line for a folder that is no problem, and where a class has no readable photo.
    """
    found = read_photo_folder(folder)
    photos, labelled = [*found.labelled, *found.test], len(found.labelled)
    digests, unreadable = _digests(photos)
    pictures = Pictures([photo.file for photo in photos], net.preparation)

    def picture(place: int) -> Tensor | None:
        try:
            return None if digests[place] is None else pictures.one(place)
        except MetatlError:
            return None

    rows = features(net.body(), net.key, [digest or "" for digest in digests], picture, tick)
    kept = [i for i, row in enumerate(rows) if row is not None and digests[i] is not None]
    unreadable = [text_of(photo.file) for i, photo in enumerate(photos) if i not in set(kept)]
    labels = np.array([photos[i].label for i in kept], np.int64)
    pool = np.array([at for at, i in enumerate(kept) if i < labelled], np.int64)
    test = np.array([at for at, i in enumerate(kept) if i >= labelled], np.int64)
    _check_classes(found.classes, labels[pool], folder)
    return Problem(
        found.classes,
        tuple(photos[i].file for i in kept),
        labels,
        tuple(str(digests[i]) for i in kept),
        torch.stack([row for row in rows if row is not None]),
        Pictures([photos[i].file for i in kept], net.preparation),
        Fixed(labels, pool, test if len(test) else None, seed),
        found.part,
        tuple(unreadable),
    )


def _digests(photos: Sequence[Photo]) -> tuple[list[str | None], list[str]]:
    found: list[str | None] = []
    unreadable: list[str] = []
    for photo in photos:
        try:
            found.append(content_digest(photo_content(photo.file)))
        except MetatlError:
            found.append(None)
            unreadable.append(text_of(photo.file))
    return found, unreadable


def _check_classes(classes: tuple[str, ...], labels: Index, folder: Path) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        name = classes[int(counts.argmin())]
        raise MetatlError(f"{folder}: no photo of class {name!r} can be read; repair or replace them")
