"""What a user names, as examples: a folder of photos, sentences or recordings, a table, arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metatl.data.examples import Examples
from metatl.data.images import SUFFIXES
from metatl.data.photos import photo_examples
from metatl.pretrained import DEFAULT
from metatl.types import MetatlError


@dataclass(frozen=True)
class Words:
    """What is said of columns.

    target: those to predict, comma-separated; text: that of the sentence; group: whom a row comes from;
    apart: of which recording; drop: columns that are no inputs, comma-separated; several: what separates
    labels in one cell.
    """

    target: str | None = None
    text: str | None = None
    group: str | None = None
    apart: str | None = None
    drop: str | None = None
    several: str | None = None

    @property
    def said(self) -> dict[str, str]:
        """What was given, by word."""
        return {name: value for name, value in vars(self).items() if value is not None}


def opened(data: Any, words: Words) -> tuple[Examples, str | None]:
    """The examples, and the net that is taken for such rows; None for columns as they are.

    Raises MetatlError in one line for what is not there, is none of these, or lacks a word.
    """
    if isinstance(data, str | Path) and Path(data).is_dir():
        return _of_folder(Path(data), words)
    if isinstance(data, str | Path) and not Path(data).exists():
        raise MetatlError(f"{data}: no such file or folder; name a folder of photos, or a table (CSV, ...)")
    raise MetatlError(f"{data}: is no folder of photos")


def _of_folder(folder: Path, words: Words) -> tuple[Examples, str | None]:
    if words.said:
        word = next(iter(words.said))
        raise MetatlError(f"--{word} names a column of a table; {folder} is a folder")
    counts = {
        name: sum(f.suffix.lower() in kind.suffixes for f in _files(folder))
        for name, kind in _FOLDERS.items()
    }
    most = max(counts, key=lambda name: counts[name])
    kind = _FOLDERS[most if counts[most] else "photos"]
    return kind.read(folder), kind.net


@dataclass(frozen=True)
class _Folder:
    suffixes: tuple[str, ...]
    read: Callable[[Path], Examples]
    net: str | None


_FOLDERS: Mapping[str, _Folder] = {"photos": _Folder(SUFFIXES, photo_examples, DEFAULT)}


def _files(folder: Path) -> list[Path]:
    """The files of class folders, and of those below `train`, `val` and `test`."""
    return [*folder.glob("*/*"), *folder.glob("*/*/*")]
