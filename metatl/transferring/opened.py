"""What a user names, as examples: a folder of photos or sentences, a table, arrays by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metatl.data.class_folder import FileKind
from metatl.data.examples import Examples
from metatl.data.photos import PHOTOS, listed_photo_examples, photo_examples
from metatl.data.recordings import recording_examples
from metatl.data.signals import RECORDINGS
from metatl.data.table_rows import table_examples, table_file
from metatl.data.texts import TEXTS, text_examples, text_folder_examples
from metatl.pretrained import DEFAULT
from metatl.types import MetatlError

USUAL: Mapping[str, str] = {"photo": DEFAULT, "sentence": "minilm"}
"""The net that is taken for rows of a kind; none for columns."""


@dataclass(frozen=True)
class Words:
    """What the columns of a table mean.

    target: those to predict, comma-separated; text: that of the sentence; group: whom a row comes from; drop:
    columns that are not inputs, comma-separated, the first of which names rows in predictions where its
    values all differ; several: what separates labels in one cell; audio: that of wav files; apart: that of
    recordings or sessions, which a person's labelled and judging rows never share; photo: that of picture
    files, which lie beside the table; paired: that which calls a thing alike in the data and in their source.
    """

    target: str | None = None
    text: str | None = None
    group: str | None = None
    drop: str | None = None
    several: str | None = None
    audio: str | None = None
    apart: str | None = None
    photo: str | None = None
    paired: str | None = None

    @property
    def said(self) -> dict[str, str]:
        """What was given, by word."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class _Folder:
    """A kind of folder: its files, how it is read, the net that is taken for it."""

    kind: FileKind
    read: Callable[[Path], Examples]
    net: str | None


_FOLDERS = (
    _Folder(PHOTOS, photo_examples, USUAL["photo"]),
    _Folder(TEXTS, text_folder_examples, USUAL["sentence"]),
    _Folder(RECORDINGS, recording_examples, None),
)


def opened(data: Any, words: Words, strict: bool = True) -> tuple[Examples, str | None]:
    """The examples, and the net that is taken for such rows; None for columns as they are.

    strict: whether every column to drop must be there. Raises MetatlError in one line for what is not there,
    is none of these, or lacks a word.
    """
    if isinstance(data, str | Path):
        place = Path(data)
        if not place.exists():
            raise MetatlError(
                f"{place}: no such file or folder; name a folder of photos, or a table (CSV, Parquet, npz)"
            )
        if place.is_dir() and table_file(place, "train") is None:
            return _of_folder(place, words)
    given = {name: getattr(words, name) for name in ("several", "group", "apart", "paired")}
    drop = [name.strip() for name in (words.drop or "").split(",") if name.strip()]
    rest: Mapping[str, Any] = {
        "target_name": words.target,
        "drop": drop,
        "strict": strict,
        **given,
        "audio": words.audio,
    }
    usual = usual_net(words)
    for column, read, _ in _listed(words):
        return read(data, column, **rest), usual
    return table_examples(data, **rest)[0], None


def usual_net(words: Words) -> str | None:
    """The net that is taken for the rows that these words say a table lists; None for columns."""
    return next((USUAL[unit] for _, _, unit in _listed(words)), None)


def _listed(words: Words) -> list[tuple[str, Callable[..., Examples], str]]:
    """The column in which a table lists what its rows are, how it is read, and what a row is called."""
    known = (words.text, text_examples, "sentence"), (words.photo, listed_photo_examples, "photo")
    found = [(column, read, unit) for column, read, unit in known if column is not None]
    if len(found) > 1:
        raise MetatlError("--text and --photo: a row is a sentence or a photo; leave one of them out")
    return found


def _of_folder(folder: Path, words: Words) -> tuple[Examples, str | None]:
    if words.said:
        word = next(iter(words.said))
        raise MetatlError(
            f"--{word} names a column of a table, and {folder} is a folder without train.csv; write a table "
            f"with a column of file names (--photo or --audio) and one for --{word}"
        )
    files = [*folder.glob("*/*"), *folder.glob("*/*/*")]
    counts = [sum(file.suffix.lower() in one.kind.suffixes for file in files) for one in _FOLDERS]
    found = _FOLDERS[counts.index(max(counts))]
    return found.read(folder), found.net
