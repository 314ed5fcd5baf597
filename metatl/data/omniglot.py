"""Omniglot: 1,623 characters of 50 alphabets, 20 drawings each (Lake, Salakhutdinov, Tenenbaum 2015)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from metatl.data.archives import members
from metatl.data.bank import Bank
from metatl.data.cache import Arrays, cached
from metatl.data.class_data import ClassData
from metatl.data.fetch import Files
from metatl.data.images import Pixels, Resize, read_image, resize
from metatl.data.omniglot_splits import split_characters
from metatl.data.source import Source, device_of
from metatl.opening import reading
from metatl.types import MetatlError, Split

_HOME = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_ZIPS = {"images_background.zip": 964, "images_evaluation.zip": 659}
FILES = Files(
    "omniglot",
    (tuple(_ZIPS),),
    tuple(_HOME + name for name in _ZIPS),
    "from the folder python/ of github.com/brendenlake/omniglot",
)
DRAWINGS, SIDE = 20, 105
_AGAIN = f"get it again ({FILES.origin})"
OFFICIAL = "5b7ebd362bdebfb23ea6d76af8f7c1dfb6510f60fdd41be57603c7d2abf09f66"
"""SHA-256 over every character's name and its 20 drawings, one byte a pixel, in file order."""
_MEMBER = re.compile(r"images_(?:background|evaluation)/([^/]+/character\d\d)/\d{4}_\d\d\.png")


@final
@dataclass(frozen=True)
class Omniglot(Source):
    """Handwritten characters, `size` x `size` grey, ink 1 on paper 0.

    root: the folder of the two official zips; else `$METATL_DATA/omniglot`, the cache, a download. split:
    "vinyals" (1,028 + 172 / 423 characters) or "lake" (background / evaluation alphabets, with every sixth
    background alphabet as meta_val). resize: "area" is exact; "nearest" and "lanczos" are what published code
    uses. rotations, in all splits: "classes" makes four classes of each character (Snell et al. 2017),
    "augment" turns each class of each episode, and each example of a mini-batch, at random (Finn et al.
    2017).
    """

    root: str | None = None
    split: Literal["vinyals", "lake"] = "vinyals"
    size: int = 28
    resize: Resize = "area"
    rotations: Literal["none", "classes", "augment"] = "none"

    def load(self, device: str = "cpu") -> ClassData:
        """Decoded once and kept in the cache; MetatlError if files are missing or damaged."""
        if not 4 <= self.size <= SIDE:
            raise MetatlError(f"omniglot: size is {self.size}: it must be 4 .. {SIDE}")
        place, folder = device_of(device), FILES.folder(self.root)
        arrays = self._arrays(folder)
        whole = Bank.sorted_by_class(
            torch.from_numpy(arrays["x"]).flatten(0, 1)[:, None],
            [DRAWINGS] * len(arrays["x"]),
            [str(name) for name in arrays["names"]],
            1 / 255,
        )
        parts = split_characters(whole.names, self.split, folder / "splits_vinyals")
        banks: dict[Split, Bank] = {
            split: self._rotated(whole.pick(part)).to(place) for split, part in parts.items()
        }
        facts = {key: value for key, value in asdict(self).items() if key != "root"}
        facts["official"] = str(arrays["digest"]) == OFFICIAL
        return ClassData("omniglot", banks, facts, negative=True)

    def picture(self, image: Image.Image, shape: tuple[int, ...], where: str) -> Pixels:
        """A drawing, dark ink on white paper, as the drawings of the data set are read: ink 255."""
        return 255 - resize(read_image(image, where)[None], self.size, self.resize)

    def _arrays(self, folder: Path) -> Arrays:
        """x [1623, 20, size, size] uint8 with ink 255, names, digest of the originals."""
        key = hashlib.sha256(repr((1, self.size, self.resize)).encode())
        for name in _ZIPS:
            with reading(folder / name) as file:
                key.update(file.read())
        return cached(f"omniglot-{key.hexdigest()[:16]}", lambda: self._decode(folder))

    def _decode(self, folder: Path) -> Arrays:
        x: list[Pixels] = []
        names: list[str] = []
        whole = hashlib.sha256()
        for name, drawings in characters(folder):
            whole.update(name.encode() + drawings.tobytes())
            x.append(255 - resize(drawings, self.size, self.resize))
            names.append(name)
        return {"x": np.stack(x), "names": np.array(names), "digest": np.array(whole.hexdigest())}

    def _rotated(self, bank: Bank) -> Bank:
        if self.rotations == "classes":
            return bank.turned_classes()
        return bank.turned() if self.rotations == "augment" else bank


def digest(folder: Path) -> str:
    """Of the content, read anew: OFFICIAL if every pixel is as published. MetatlError as `characters`."""
    whole = hashlib.sha256()
    for name, drawings in characters(folder):
        whole.update(name.encode() + drawings.tobytes())
    return whole.hexdigest()


def characters(folder: Path) -> Iterator[tuple[str, Pixels]]:
    """Every character `Alphabet/characterNN`, its drawings [20, 105, 105] (paper 255); background set first.

    Raises MetatlError naming the archive and the character where the content is not that of the data set.
    """
    held = {folder / archive: _members(folder / archive, count) for archive, count in _ZIPS.items()}
    total = DRAWINGS * sum(_ZIPS.values())
    with tqdm(total=total, desc="decoding omniglot", unit="image", delay=1, leave=False) as bar:
        for path, found in held.items():
            for name, files in found.items():
                drawings = [read_image(data, f"{path}: {member}") for member, data in files]
                shapes = {drawing.shape for drawing in drawings}
                if shapes != {(SIDE, SIDE)}:
                    raise MetatlError(f"{path}: {name} has drawings of sizes {sorted(shapes)}: {_AGAIN}")
                bar.update(DRAWINGS)
                yield name, np.stack(drawings)


def _members(path: Path, count: int) -> dict[str, list[tuple[str, bytes]]]:
    """The files of each character, sorted; MetatlError unless there are `count` characters of 20 drawings."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for member, data in members(path, ".png"):
        match = _MEMBER.fullmatch(member)
        if match:
            found.setdefault(match[1], []).append((member, data))
    if len(found) != count:
        raise MetatlError(f"{path}: holds {len(found)} characters, not {count}: {_AGAIN}")
    for name, files in found.items():
        if len(files) != DRAWINGS:
            raise MetatlError(f"{path}: {name} has {len(files)} drawings, not {DRAWINGS}: {_AGAIN}")
    return found
