"""One's own data as episodes: arrays in an npz file, or a folder of images by class, divided by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.counter import first_of_shuffle, number
from metatl.data.source import SPLITS, Source, device_of
from metatl.types import MetatlError, Split

_SHUFFLE = 401
_FOLDERS: dict[Split, tuple[str, ...]] = {
    "meta_train": ("meta_train", "train"),
    "meta_val": ("meta_val", "val", "valid"),
    "meta_test": ("meta_test", "test"),
}


@final
@dataclass(frozen=True)
class Arrays(Source):
    """An npz file with x [n, ...], y [n] and perhaps names; uint8 images are divided by 255.

    fractions: shares of the classes for meta_train, meta_val and meta_test, after a shuffle by `seed`; or
    train, val, test: the names of each split's classes. A split may be left empty.
    """

    path: str
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seed: int = 0

    def load(self, device: str = "cpu") -> ClassData:
        """Read and divide; MetatlError for a file that is no such file, or a split that does not work out."""
        place = device_of(device)
        bank = Bank.from_npz(self.path)
        named: dict[Split, tuple[str, ...]] = {
            "meta_train": self.train,
            "meta_val": self.val,
            "meta_test": self.test,
        }
        if any(named.values()):
            parts, rule = _named(bank, named, self.path), "by class, as listed"
        else:
            parts, rule = _shares(bank, self.fractions, self.seed, self.path), "by class, shuffled"
        return _divided(Path(self.path).stem, bank, parts, {"split": rule, **_facts(self)}, place)


@final
@dataclass(frozen=True)
class ImageFolder(Source):
    """A folder of images by class (`path/<class>/<image>`), or one such folder each split (`path/train/`).

    Images are squeezed to size x size. fractions: shares of the classes for meta_train, meta_val, meta_test,
    after a shuffle by `seed`, where the folder is not divided already.
    """

    path: str
    size: int = 28
    grey: bool = True
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = 0

    def load(self, device: str = "cpu") -> ClassData:
        """Read every image; MetatlError naming the one that cannot be read, or the class that is empty."""
        place, root = device_of(device), Path(self.path)
        if self.size < 1:
            raise MetatlError(f"{self.path}: size is {self.size}: it must be at least 1")
        divided: dict[Split, Path] = {
            split: next((root / name for name in names if (root / name).is_dir()), root)
            for split, names in _FOLDERS.items()
        }
        if all(folder != root for folder in divided.values()):
            banks: dict[Split, Bank] = {
                split: Bank.from_folder(folder, self.size, self.grey).to(place)
                for split, folder in divided.items()
            }
            return ClassData(root.name, banks, {"split": "by folder", **_facts(self)})
        bank = Bank.from_folder(root, self.size, self.grey)
        parts = _shares(bank, self.fractions, self.seed, self.path)
        return _divided(root.name, bank, parts, {"split": "by class, shuffled", **_facts(self)}, place)


def _divided(
    name: str, bank: Bank, parts: Mapping[Split, list[int]], facts: Mapping[str, Any], place: torch.device
) -> ClassData:
    banks: dict[Split, Bank] = {split: bank.pick(part).to(place) for split, part in parts.items() if part}
    return ClassData(name, banks, facts)


def _facts(source: Arrays | ImageFolder) -> dict[str, Any]:
    return {
        key: value for key, value in asdict(source).items() if key not in ("path", "train", "val", "test")
    }


def _shares(bank: Bank, fractions: tuple[float, ...], seed: int, where: str) -> dict[Split, list[int]]:
    """Places of each split's classes: shares of a shuffled order, cut at rounded places, each part sorted."""
    if any(share < 0 for share in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise MetatlError(
            f"{where}: fractions are {list(fractions)}: they must be three shares that add up to 1"
        )
    n = bank.classes
    order = first_of_shuffle(torch.tensor(number(_SHUFFLE, seed)), n, n, n).tolist()
    cuts = [0, round(n * fractions[0]), round(n * (fractions[0] + fractions[1])), n]
    parts: dict[Split, list[int]] = {
        split: sorted(order[cuts[k] : cuts[k + 1]]) for k, split in enumerate(SPLITS)
    }
    for split, share in zip(SPLITS, fractions, strict=True):
        if share and not parts[split]:
            raise MetatlError(
                f"{where}: {n} classes leave none for {split}: change fractions, or list the classes"
            )
    return parts


def _named(bank: Bank, named: Mapping[Split, tuple[str, ...]], where: str) -> dict[Split, list[int]]:
    """Places of the classes listed for each split; MetatlError for an unknown one or one listed twice."""
    places = {name: place for place, name in enumerate(bank.names)}
    listed = [name for names in named.values() for name in names]
    for name in listed:
        if name not in places:
            raise MetatlError(f"{where}: there is no class {name!r}; it has {', '.join(bank.names[:8])} ...")
        if listed.count(name) > 1:
            raise MetatlError(f"{where}: class {name!r} is listed twice: splits share no class")
    return {split: [places[name] for name in names] for split, names in named.items()}
