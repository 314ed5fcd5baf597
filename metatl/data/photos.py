"""A folder of photos as a fixed problem: `<class>/*.jpg`, or `train|val|test/<class>/*.jpg`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from PIL import Image

from metatl.data.class_folder import (
    ClassFolder,
    FileKind,
    content,
    content_digest,
    files_of,
    read_class_folder,
)
from metatl.data.examples import Examples, Index, Inputs, Reader
from metatl.data.images import SUFFIXES, as_seen
from metatl.opening import text_of

PHOTOS = FileKind("photo", SUFFIXES)


@dataclass(frozen=True)
class Photos(Inputs):
    """Picture files."""

    files: tuple[Path, ...]
    unit: ClassVar[str] = "photo"
    copied: ClassVar[bool] = True

    @property
    def ids(self) -> Sequence[str]:
        """The files' names as they are shown."""
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        return [text_of(file) for file in self.files]

    def digest(self, place: int) -> str:
        """Of a file's bytes."""
        return content_digest(content(self.files[place]))

    def raw(self, place: int) -> Image.Image:
        """The picture as a person sees it."""
        return as_seen(content(self.files[place]), str(self.files[place]))

    shown = raw

    def take(self, places: Index) -> Photos:
        """These files."""
        return Photos(tuple(self.files[int(place)] for place in places))


@dataclass(frozen=True)
class PhotoFiles(Reader):
    """Picture files, and those below folders."""

    unit: ClassVar[str] = "photo"
    id_name: ClassVar[str] = "file"
    place: ClassVar[str] = "PHOTO_OR_FOLDER"

    def read(self, places: Sequence[Path]) -> Photos:
        """The photos named, and those of the folders named."""
        return Photos(tuple(photo_files(places)))


def photo_examples(folder: Path) -> Examples:
    """The photos of a folder with their classes; raises MetatlError as `read_class_folder`."""
    found = read_photo_folder(folder)
    return found.examples(folder, PhotoFiles(), Photos(tuple(found.files)))


def read_photo_folder(folder: Path) -> ClassFolder:
    """`read_class_folder` of photos."""
    return read_class_folder(folder, PHOTOS)


def photo_files(places: Iterable[Path]) -> list[Path]:
    """`files_of` photos."""
    return files_of(places, PHOTOS)
