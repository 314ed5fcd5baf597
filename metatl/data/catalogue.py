"""What `metatl data` lists, verifies and downloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metatl.data import hapt, mnist, omniglot
from metatl.data.cache import cache_dir
from metatl.data.fetch import Files
from metatl.data.glyphs import Glyphs
from metatl.data.patterns import Patterns
from metatl.data.sinusoid import Sinusoid
from metatl.data.source import Source, Tasks
from metatl.types import MetatlError


@dataclass(frozen=True)
class Entry:
    """One data set: its name, what it is, where its files were found (None if not), their size, the terms."""

    name: str
    what: str
    where: str | None
    size: str
    terms: str

    def line(self) -> str:
        """The entry as one line of a list."""
        where = self.where or "not here"
        return f"{self.name:<9} {self.what:<50} {self.size:>6}  {self.terms:<13} {where}"


_FILES: dict[str, Files] = {"omniglot": omniglot.FILES, "mnist": mnist.FILES, "hapt": hapt.FILES}
_BUILT: dict[str, Source] = {
    "glyphs": Glyphs(train_classes=5, val_classes=5, test_classes=5),
    "patterns": Patterns(),
    "sinusoid": Sinusoid(),
}
_BUILT_IN = "built in"
_WHOLE = "whole, every value as published"


def catalogue() -> list[Entry]:
    """Every data set that metatl knows: what needs no files first."""
    return [
        Entry("glyphs", "invented alphabets, drawn by a program; 28 x 28", _BUILT_IN, "none", "MIT"),
        Entry("patterns", "random bits to memorise (Nikolić et al. 2023)", _BUILT_IN, "none", "MIT"),
        Entry("sinusoid", "sine waves to regress (Finn et al. 2017)", _BUILT_IN, "none", "MIT"),
        _entry("omniglot", "1,623 characters x 20 drawings; 105 x 105", "14 MB", "MIT"),
        _entry("mnist", "70,000 digits; 28 x 28", "11 MB", "CC BY-SA 3.0"),
        _entry("hapt", "30 people, 6 activities, motion sensors; 6 x 128", "7 MB", "CC BY 4.0"),
    ]


def verify(name: str) -> str:
    """One line saying that it is whole; MetatlError naming the damage or what is missing."""
    if _known(name) not in _FILES:
        _BUILT[name].load().draw("meta_test", Tasks(query=1), 0, 0, 1)
        return f"{name}: {_BUILT_IN}, nothing to verify"
    files = _FILES[name]
    folder = files.find()
    if folder is None:
        how = f"`metatl data download {name}` gets it" if files.urls else files.advice()
        raise MetatlError(f"{name}: not here; {how}")
    if name == "omniglot":
        found, official = omniglot.digest(folder), omniglot.OFFICIAL
    elif name == "mnist":
        found, official = mnist.digest(mnist.arrays(folder)), mnist.OFFICIAL
    else:
        found, official = hapt.digest(hapt.arrays(folder)), hapt.OFFICIAL
    if found != official:
        raise MetatlError(f"{name}: {folder} has the right sizes but not the published content: get it again")
    return f"{name}: {_WHOLE} ({folder})"


def download(name: str) -> str:
    """Get a data set into the cache unless it is here; a line saying where it is, MetatlError if it fails."""
    if _known(name) not in _FILES:
        return f"{name}: {_BUILT_IN}, nothing to download"
    return f"{name}: {_FILES[name].find() or _FILES[name].download()}"


def missing(path: Path) -> MetatlError:
    """What to say of a file that is not there: of one that belongs to a data set, what to put where."""
    known = _FILES.get(path.parts[0]) if len(path.parts) == 2 else None
    if known is not None and any(path.name in files for files in known.layouts):
        return MetatlError(f"{known.name}: not here; {known.advice()}")
    return MetatlError(f"{path}: no such file, neither here nor below $METATL_DATA or {cache_dir()}")


def _entry(name: str, what: str, size: str, terms: str) -> Entry:
    found = _FILES[name].find()
    return Entry(name, what, str(found) if found else None, size, terms)


def _known(name: str) -> str:
    if name not in (*_BUILT, *_FILES):
        raise MetatlError(f"no data set is called {name!r}: there are {', '.join([*_BUILT, *_FILES])}")
    return name
