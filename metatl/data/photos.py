"""A folder of photos with a fixed set of classes: `<class>/*.jpg`, or `train|val|test/<class>/*.jpg`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metatl.data.images import SUFFIXES
from metatl.opening import reading, text_of
from metatl.types import MetatlError

PARTS = ("train", "val", "test")
TestPart = Literal["test", "val", "folds"]


@dataclass(frozen=True)
class Photo:
    """A file and its class, as an index into the names."""

    file: Path
    label: int


@dataclass(frozen=True)
class PhotoFolder:
    """The user's own problem: the same classes at training and at testing.

    classes: sorted names; labelled: photos to learn from; test: photos to judge by, empty where there is
    neither `test/` nor `val/`; part: where the test photos come from (`folds`: from the labelled ones).
    """

    classes: tuple[str, ...]
    labelled: tuple[Photo, ...]
    test: tuple[Photo, ...]
    part: TestPart


def read_photo_folder(folder: Path) -> PhotoFolder:
    """Which photos there are, without opening them; hidden files and folders are passed over.

    With `test/`, `val/` is labelled like `train/`; without it `val/` is the test part. Raises MetatlError for
    a missing folder, fewer than two classes, an empty class, and splits whose classes differ.
    """
    if not folder.is_dir():
        raise MetatlError(f"{folder}: no such folder; it should hold one folder of photos for each class")
    inside = {child.name: child for child in _folders(folder)}
    if "train" not in inside:
        found = _classes(folder)
        return PhotoFolder(tuple(found), _photos(found, tuple(found)), (), "folds")
    splits = {part: _classes(inside[part]) for part in PARTS if part in inside}
    names = tuple(splits["train"])
    for part, classes in splits.items():
        _check_same(folder, names, tuple(classes), part)
    part = _part(splits)
    labelled = [name for name in splits if name != part]
    learned = tuple(photo for name in labelled for photo in _photos(splits[name], names))
    return PhotoFolder(names, learned, _photos(splits[part], names) if part != "folds" else (), part)


def photo_files(places: Iterable[Path]) -> list[Path]:
    """The files named, and those with a picture's suffix below the folders named, sorted within each.

    Raises MetatlError for a place that is not there.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(file for file in place.rglob("*") if _is_photo(file, place))
        elif place.exists():
            found.append(place)
        else:
            raise MetatlError(f"{place}: no such file or folder; name photos, or folders of them")
    return found


def photo_content(file: Path) -> bytes:
    """A photo's bytes; raises MetatlError naming a file that cannot be read."""
    try:
        with reading(file) as opened:
            return opened.read()
    except OSError as error:
        raise MetatlError(f"{file}: cannot be read ({error.strerror or error})") from error


def content_digest(content: bytes) -> str:
    """SHA-256 of a photo's bytes."""
    return hashlib.sha256(content).hexdigest()


def _is_photo(file: Path, below: Path) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in file.relative_to(below).parts)
    return not hidden and file.suffix.lower() in SUFFIXES and not file.is_dir()


def _folders(folder: Path) -> list[Path]:
    return sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith((".", "__MACOSX")))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The photos of every class; raises MetatlError for one class or none, and for an empty one."""
    found = {
        text_of(child.name): sorted(file for file in child.iterdir() if _is_photo(file, child))
        for child in _folders(folder)
    }
    if len(found) < 2:
        held = "no folder of photos" if not found else f"one class only, {next(iter(found))!r}"
        raise MetatlError(f"{folder}: holds {held}; put the photos of each class into a folder of its own")
    for name, files in found.items():
        if not files:
            raise MetatlError(
                f"{folder / name}: class {name!r} has no photos ({', '.join(SUFFIXES[:4])} ...); "
                "add some or remove the folder"
            )
    return found


def _photos(found: dict[str, list[Path]], names: tuple[str, ...]) -> tuple[Photo, ...]:
    return tuple(Photo(file, names.index(name)) for name, files in found.items() for file in files)


def _part(splits: Iterable[str]) -> TestPart:
    """Which photos judge."""
    if "test" in splits:
        return "test"
    return "val" if "val" in splits else "folds"


def _check_same(folder: Path, names: tuple[str, ...], other: tuple[str, ...], part: str) -> None:
    """A fixed problem has the same classes everywhere."""
    if set(names) == set(other):
        return
    if not set(names) & set(other):
        raise MetatlError(
            f"{folder}: train and {part} share no class; for classes that are new at testing "
            "use 'metatl run' with data Images"
        )
    odd = sorted(set(names) ^ set(other))[0]
    where = "train" if odd in names else part
    raise MetatlError(
        f"{folder}: class {odd!r} is in {where} only; give train and {part} the same class folders"
    )
