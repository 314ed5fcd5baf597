"""One's own data as episodes: arrays in an npz file, or a folder of images by class, divided by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, final

import torch

from metatl.data.bank import Bank
from metatl.data.checked import Channels
from metatl.data.class_data import ClassData
from metatl.data.division import listed, shares
from metatl.data.images import class_files, hidden
from metatl.data.source import SPLITS, Source, device_of
from metatl.opening import text_of
from metatl.types import MetatlError, Split

_FOLDERS: dict[Split, tuple[str, ...]] = {
    "meta_train": ("meta_train", "train"),
    "meta_val": ("meta_val", "val", "valid"),
    "meta_test": ("meta_test", "test"),
}


@final
@dataclass(frozen=True)
class Arrays(Source):
    """An npz file with x [n, ...], y [n] and perhaps names; values and channels as `data.checked` says.

    fractions: shares of the classes for meta_train, meta_val and meta_test, after a shuffle by `seed`; or
    train, val, test: the names of each split's classes. A split may be left empty. smallest: classes with
    fewer examples are left out, and named in `describe`. channels: where those of pictures lie, if their
    shape does not say.
    """

    path: str
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0
    smallest: int = 0
    channels: Channels | None = None

    def load(self, device: str = "cpu") -> ClassData:
        """Read and divide; MetatlError for a file that is no such file, or a split that does not work out."""
        place = device_of(device)
        whole = Bank.from_npz(self.path, self.channels)
        large = [place for place, size in enumerate(whole.sizes) if size >= self.smallest]
        if not large:
            raise MetatlError(f"{self.path}: no class has {self.smallest} examples; lower smallest")
        bank = whole if len(large) == whole.classes else whole.pick(large)
        facts = _facts(self, dict(zip(whole.names, whole.sizes, strict=True)))
        named: dict[Split, tuple[str, ...]] = {
            "meta_train": self.train,
            "meta_val": self.val,
            "meta_test": self.test,
        }
        if any(named.values()):
            parts, rule = listed(bank.names, named, self.path), "by class, as listed"
        else:
            parts, rule = shares(bank.classes, self.fractions, self.seed, self.path), "by class, shuffled"
        return _divided(Path(self.path).stem, bank, parts, {"split": rule, **facts}, place)


@final
@dataclass(frozen=True)
class ImageFolder(Source):
    """A folder of images by class (`path/<class>/<image>`), or one such folder each split (`path/train/`).

    Images are read as a person sees them (`images.as_seen`) and squeezed to size x size; hidden files and
    folders are no part of it. fractions: shares of the classes for meta_train, meta_val, meta_test, after a
    shuffle by `seed`, where the folder is not divided already. smallest: classes with fewer images are left
    out, and named in `describe`.
    """

    path: str
    size: int = 28
    grey: bool = True
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = 0
    smallest: int = 0

    def load(self, device: str = "cpu") -> ClassData:
        """Read every image; MetatlError naming the one that cannot be read, or the class that is empty.

        Also where splits hold the same classes: that is no problem of new classes.
        """
        place, root = device_of(device), Path(self.path)
        if self.size < 1:
            raise MetatlError(f"{self.path}: size is {self.size}: it must be at least 1")
        divided = _split_folders(root)
        if len(divided) == len(SPLITS):
            banks: dict[Split, Bank] = {
                split: Bank.from_folder(folder, self.size, self.grey, self.smallest).to(place)
                for split, folder in divided.items()
            }
            sizes = {
                f"{folder.name}/{name}": len(files)
                for folder in divided.values()
                for name, files in class_files(folder).items()
            }
            return ClassData(text_of(root.name), banks, {"split": "by folder", **_facts(self, sizes)})
        sizes = {name: len(files) for name, files in class_files(root).items()}
        bank = Bank.from_folder(root, self.size, self.grey, self.smallest)
        parts = shares(bank.classes, self.fractions, self.seed, self.path)
        facts = {"split": "by class, shuffled", **_facts(self, sizes)}
        return _divided(text_of(root.name), bank, parts, facts, place)


def _split_folders(root: Path) -> dict[Split, Path]:
    """The folder of each split that has one; MetatlError where two splits hold classes of the same name."""
    first: dict[Split, Path | None] = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in _FOLDERS.items()
    }
    found: dict[Split, Path] = {split: folder for split, folder in first.items() if folder is not None}
    held = {folder.name: {path.name for path in _folders(folder)} for folder in found.values()}
    for one, other in combinations(held, 2):
        shared = sorted(held[one] & held[other])
        if shared:
            raise MetatlError(
                f"{root}: {one}/ and {other}/ both hold {', '.join(shared[:3])}: a problem of fixed classes; "
                f"use 'metatl transfer {root}', or give each split classes of its own"
            )
    return found


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not hidden(path)]


def _divided(
    name: str, bank: Bank, parts: Mapping[Split, list[int]], facts: Mapping[str, Any], place: torch.device
) -> ClassData:
    banks: dict[Split, Bank] = {split: bank.pick(part).to(place) for split, part in parts.items() if part}
    return ClassData(name, banks, facts)


def _facts(source: Arrays | ImageFolder, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The values that prepared the data; sizes: of every class, those that were left out too."""
    facts = asdict(source)
    for name in ("path", "train", "val", "test", *(() if source.smallest else ("smallest",))):
        facts.pop(name, None)
    if facts.get("channels", ...) is None:
        del facts["channels"]
    left_out = {name: size for name, size in sizes.items() if size < source.smallest}
    return {**facts, "left_out": left_out} if left_out else facts
