"""A folder with a fixed set of classes: `<class>/*.jpg` say, or `train|val|test/<class>/*.jpg`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from metatl.data.examples import Examples, Inputs, Reader, TestPart
from metatl.data.targets import Targets
from metatl.opening import reading, text_of
from metatl.types import MetatlError

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class FileKind:
    """Which files of a folder count. unit: what one holds (photo, ...); suffixes: in lower case."""

    unit: str
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class LabelledFile:
    """A file and its class, as an index into the names."""

    file: Path
    label: int


@dataclass(frozen=True)
class ClassFolder:
    """The user's own problem: the same classes at training and at testing.

    classes: sorted names; labelled: files to learn from; test: files to judge by, empty where there is
    neither `test/` nor `val/`; part: where the test files come from (`folds`: from the labelled ones); notes:
    on files beside them that are none of the kind.
    """

    classes: tuple[str, ...]
    labelled: tuple[LabelledFile, ...]
    test: tuple[LabelledFile, ...]
    part: TestPart
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The labelled ones, then those that judge."""
        return [one.file for one in (*self.labelled, *self.test)]

    def examples(self, folder: Path, reader: Reader, inputs: Inputs) -> Examples:
        """The files as examples; inputs: of `files`, in that order."""
        labels = [one.label for one in (*self.labelled, *self.test)]
        targets = Targets("classes", self.classes, torch.tensor(labels, dtype=torch.int64))
        pool = np.arange(len(self.labelled))
        test = np.arange(len(self.labelled), len(labels)) if self.test else None
        name = text_of(folder.resolve().name)
        return Examples(name, reader, inputs, targets, pool, test, self.part, notes=self.notes)


def read_class_folder(folder: Path, kind: FileKind) -> ClassFolder:
    """Which files there are, without opening them; hidden files and folders are passed over.

    With `test/`, `val/` is labelled like `train/`; without it `val/` is the test part. Raises MetatlError for
    a missing folder, fewer than two classes, an empty class, and splits whose classes differ.
    """
    if not folder.is_dir():
        raise MetatlError(f"{folder}: no such folder; it should hold a folder of {kind.unit}s for each class")
    inside = {child.name: child for child in _folders(folder)}
    if "train" not in inside:
        found = _classes(folder, kind)
        return _noted(ClassFolder(tuple(found), _files(found, tuple(found)), (), "folds"), kind)
    splits = {part: _classes(inside[part], kind) for part in PARTS if part in inside}
    names = tuple(splits["train"])
    for part, classes in splits.items():
        _check_same(folder, names, tuple(classes), part)
    part = _part(splits)
    labelled = [name for name in splits if name != part]
    learned = tuple(one for name in labelled for one in _files(splits[name], names))
    test = _files(splits[part], names) if part != "folds" else ()
    return _noted(ClassFolder(names, learned, test, part), kind)


def _noted(found: ClassFolder, kind: FileKind) -> ClassFolder:
    """With a note on visible files in the folders of classes that are none of the kind."""
    places = sorted({file.parent for file in found.files})
    beside = [file for place in places for file in sorted(place.iterdir()) if _is_other(file, kind)]
    if not beside:
        return found
    count, named = len(beside), ", ".join(text_of(file.name) for file in beside[:5])
    more = f" and {count - 5} more" if count > 5 else ""
    said = (
        f"{count} file{'s' * (count > 1)} beside the {kind.unit}s, of another kind, left out: {named}{more}"
    )
    return replace(found, notes=(said,))


def _is_other(file: Path, kind: FileKind) -> bool:
    named = file.name in ("Thumbs.db", "desktop.ini") or file.name.startswith((".", "__MACOSX"))
    return not named and file.is_file() and file.suffix.lower() not in kind.suffixes


def files_of(places: Iterable[Path], kind: FileKind) -> list[Path]:
    """The files named, and those of this kind below the folders named, sorted within each.

    Raises MetatlError for a place that is not there.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(file for file in place.rglob("*") if _counts(file, place, kind))
        elif place.exists():
            found.append(place)
        else:
            raise MetatlError(f"{place}: no such file or folder; name {kind.unit}s, or folders of them")
    return found


def content(file: Path) -> bytes:
    """A file's bytes; raises MetatlError naming a file that cannot be read."""
    try:
        with reading(file) as opened:
            return opened.read()
    except OSError as error:
        raise MetatlError(f"{file}: cannot be read ({error.strerror or error})") from error


def content_digest(held: bytes) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(held).hexdigest()


def _counts(file: Path, below: Path, kind: FileKind) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in file.relative_to(below).parts)
    return not hidden and file.suffix.lower() in kind.suffixes and not file.is_dir()


def _folders(folder: Path) -> list[Path]:
    return sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith((".", "__MACOSX")))


def _classes(folder: Path, kind: FileKind) -> dict[str, list[Path]]:
    """The files of every class; raises MetatlError for one class or none, and for an empty one."""
    found = {
        text_of(child.name): sorted(file for file in child.iterdir() if _counts(file, child, kind))
        for child in _folders(folder)
    }
    if len(found) < 2:
        held = f"no folder of {kind.unit}s" if not found else f"one class only, {next(iter(found))!r}"
        raise MetatlError(
            f"{folder}: holds {held}; put the {kind.unit}s of each class into a folder of its own"
        )
    for name, files in found.items():
        if not files:
            raise MetatlError(
                f"{folder / name}: class {name!r} has no {kind.unit}s ({', '.join(kind.suffixes[:4])} ...); "
                "add some or remove the folder"
            )
    return found


def _files(found: dict[str, list[Path]], names: tuple[str, ...]) -> tuple[LabelledFile, ...]:
    return tuple(LabelledFile(file, names.index(name)) for name, files in found.items() for file in files)


def _part(splits: Iterable[str]) -> TestPart:
    """Which files judge."""
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
