"""Where the files of a data set lie: a folder given, `$METATL_DATA/<name>`, the cache, else the network."""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from metatl import opening
from metatl.data.cache import cache_dir
from metatl.types import MetatlError

_PIECE, _PATIENCE = 1 << 16, 30.0


@dataclass(frozen=True)
class Files:
    """The files of one data set; any one of `layouts` (file names) will do.

    urls: where the first layout's files can be downloaded, empty if nowhere; origin: what to tell a person.
    """

    name: str
    layouts: tuple[tuple[str, ...], ...]
    urls: tuple[str, ...]
    origin: str

    def find(self, root: str | None = None) -> Path | None:
        """The first folder that holds a whole layout; only `root` is looked at if it is given."""
        places = [Path(root)] if root else self._places()
        return next((place for place in places if self.layout_in(place)), None)

    def layout_in(self, place: Path) -> tuple[str, ...] | None:
        """The layout that `place` holds, or None."""
        return next(
            (files for files in self.layouts if all((place / file).is_file() for file in files)), None
        )

    def folder(self, root: str | None = None) -> Path:
        """The folder with the files, downloaded if need be; MetatlError says what to put where."""
        found = self.find(root)
        if found:
            return found
        if root:
            raise MetatlError(f"{self.name}: {self._wanted()} not in {root}: put them there ({self.origin})")
        return self.download()

    def download(self) -> Path:
        """Download the first layout into the cache; MetatlError saying what to put where if that fails."""
        place = cache_dir() / self.name
        if not self.urls:
            raise MetatlError(f"{self.name}: there is nothing to download: {self.advice()}")
        try:
            place.mkdir(parents=True, exist_ok=True)
            for file, url in zip(self.layouts[0], self.urls, strict=True):
                _download(url, place / file)
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise MetatlError(f"{self.name}: cannot be downloaded ({reason}): {self.advice()}") from error
        return place

    def advice(self) -> str:
        """What to put where."""
        place = cache_dir() / self.name
        return f"put {self._wanted()} into {place} or $METATL_DATA/{self.name} ({self.origin})"

    def _places(self) -> list[Path]:
        home = os.environ.get("METATL_DATA")
        return ([Path(home) / self.name] if home else []) + [cache_dir() / self.name]

    def _wanted(self) -> str:
        return " and ".join(self.layouts[0])


def placed(path: Path) -> Path:
    """A file or folder as it is named, or the one of that name below `$METATL_DATA` or the cache."""
    home = os.environ.get("METATL_DATA")
    below = [Path(home) / path] if home else []
    if path.exists() or path.is_absolute():
        return path
    return next((file for file in (*below, cache_dir() / path) if file.exists()), path)


def _download(url: str, path: Path) -> None:
    """One file, with a progress bar, written beside and renamed when it is whole."""
    opening.swept(path.parent)
    beside = opening.beside(path)
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer, opening.writing(beside) as file:
            _copy(answer, file, path.name)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _copy(answer: Any, file: Any, name: str) -> None:
    total = int(answer.headers.get("Content-Length") or 0) or None
    with tqdm(total=total, desc=name, unit="B", unit_scale=True) as bar:
        while piece := answer.read(_PIECE):
            file.write(piece)
            bar.update(len(piece))
        if total is not None and bar.n != total:
            raise OSError(f"{name} broke off after {bar.n} of {total} bytes")
