"""Photos as a fixed problem: `<class>/*.jpg`, `train|val|test/<class>/*.jpg`, or a table that lists them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

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
from metatl.data.table_rows import table_examples
from metatl.data.tables import Columns, read_table
from metatl.data.tables.columns import as_text
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
    """Picture files, those below folders, and those that a table lists in the column of this name."""

    column: str | None = None

    unit: ClassVar[str] = "photo"
    id_name: ClassVar[str] = "file"
    place: ClassVar[str] = "PHOTO_OR_FOLDER"

    def read(self, places: Sequence[Path]) -> Photos:
        """The photos named, those of the folders named, or all that a table lists."""
        if self.column is None or any(p.is_dir() or p.suffix.lower() in SUFFIXES for p in places):
            return Photos(tuple(photo_files(places)))
        tables = [(place, read_table(place, text=self.column)) for place in places]
        return Photos(tuple(file for place, table in tables for file in _listed(table, self.column, place)))


def photo_examples(folder: Path) -> Examples:
    """The photos of a folder with their classes; raises MetatlError as `read_class_folder`."""
    found = read_photo_folder(folder)
    return found.examples(folder, PhotoFiles(), Photos(tuple(found.files)))


def listed_photo_examples(place: Any, photo: str, **words: Any) -> Examples:
    """The photos that a column of a table names, beside it; targets as `table_examples` takes them."""
    found, rest = table_examples(place, text=photo, **words)
    return replace(found, inputs=Photos(tuple(_listed(rest, photo, place))), reader=PhotoFiles(photo))


def _listed(table: Columns, column: str, place: Any) -> list[Path]:
    """The files of a column, which lie beside the table."""
    table.require([column])
    beside = Path(place) if isinstance(place, str | Path) else Path()
    beside = beside if beside.is_dir() else beside.parent
    return [beside / (one or "no file") for one in as_text(table[column])]


def read_photo_folder(folder: Path) -> ClassFolder:
    """`read_class_folder` of photos."""
    return read_class_folder(folder, PHOTOS)


def photo_files(places: Iterable[Path]) -> list[Path]:
    """`files_of` photos."""
    return files_of(places, PHOTOS)
