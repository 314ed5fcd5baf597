"""How Omniglot's characters are divided: the split of Vinyals et al. (2016) and the authors' own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from metatl.types import MetatlError, Split

VINYALS_TRAINVAL = 1200
VINYALS_VAL = ("Hebrew", "Mkhedruli_(Georgian)", "Armenian", "Early_Aramaic", "Bengali")
LAKE_BACKGROUND, LAKE_VAL_EVERY = 964, 6
_FILES: dict[Split, str] = {"meta_train": "train.txt", "meta_val": "val.txt", "meta_test": "test.txt"}


def split_characters(
    names: Sequence[str], rule: Literal["vinyals", "lake"], folder: Path
) -> dict[Split, list[int]]:
    """Places in `names` (background set first, each set sorted) of each split's characters, in file order.

    vinyals: the lists in `folder` if they lie there, else the rule that gives the same lists. lake: the
    evaluation set is meta_test; every sixth background alphabet is meta_val. MetatlError for bad lists.
    """
    if rule == "lake":
        return _lake(names)
    if all((folder / file).is_file() for file in _FILES.values()):
        return _listed(names, folder)
    return _vinyals(names)


def _vinyals(names: Sequence[str]) -> dict[Split, list[int]]:
    """The first 1,200 characters in file order are for training, five of their alphabets for validation."""
    val = [place for place in range(VINYALS_TRAINVAL) if _alphabet(names[place]) in VINYALS_VAL]
    train = [place for place in range(VINYALS_TRAINVAL) if _alphabet(names[place]) not in VINYALS_VAL]
    return {"meta_train": train, "meta_val": val, "meta_test": list(range(VINYALS_TRAINVAL, len(names)))}


def _lake(names: Sequence[str]) -> dict[Split, list[int]]:
    background = range(LAKE_BACKGROUND)
    val = sorted({_alphabet(names[place]) for place in background})[LAKE_VAL_EVERY - 1 :: LAKE_VAL_EVERY]
    return {
        "meta_train": [place for place in background if _alphabet(names[place]) not in val],
        "meta_val": [place for place in background if _alphabet(names[place]) in val],
        "meta_test": list(range(LAKE_BACKGROUND, len(names))),
    }


def _listed(names: Sequence[str], folder: Path) -> dict[Split, list[int]]:
    """From files of lines `Alphabet/characterNN/rotDDD`."""
    places = {name: place for place, name in enumerate(names)}
    taken: dict[str, Split] = {}
    for split, file in _FILES.items():
        for line in (folder / file).read_text().split():
            name = line.rsplit("/", 1)[0]
            if name not in places:
                raise MetatlError(
                    f"{folder / file}: there is no character {name!r}: delete the folder or mend it"
                )
            if taken.setdefault(name, split) != split:
                raise MetatlError(
                    f"{folder / file}: {name} is in {taken[name]} too: delete the folder or mend it"
                )
    return {split: sorted(places[name] for name in taken if taken[name] == split) for split in _FILES}


def _alphabet(name: str) -> str:
    return name.split("/", maxsplit=1)[0]
