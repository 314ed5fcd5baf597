"""Files that values name: found, kept beside what was made with them, and taken from there once they go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from metatl import processes
from metatl.lab.store.content import files_in, fingerprint, stamp
from metatl.lab.store.files import copy
from metatl.types import MetatlError

_MOST = 2 << 30
"""Bytes of a file or folder that is kept."""
_FOLDER = "files"


def strings(value: Any) -> Iterator[str]:
    """Every string in nested plain values, keys left out."""
    if isinstance(value, Mapping):
        for item in cast(Mapping[Any, Any], value).values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in cast(list[Any], value):
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def words(value: Any) -> list[str]:
    """What in nested plain values may name a file: strings, and what stands after their last @."""
    return sorted({name for word in strings(value) for name in (word, word.rpartition("@")[2])})


def path_of(word: str) -> Path | None:
    """The file or folder that a value names, if there is one; the working directory itself is none."""
    try:
        place = Path(word).expanduser()
        known = bool(word.strip()) and place.exists() and place.resolve() not in Path.cwd().resolve().parents
        return place if known and place.resolve() != Path.cwd().resolve() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, no such home
        return None


def given(value: Any) -> list[Any]:
    """The arguments of the user's own classes in a description: ours read no files but data."""
    if isinstance(value, Mapping):
        told = cast(Mapping[str, Any], value)
        return [told.get("init_args")] if _own(told) else given(list(told.values()))
    return [one for item in cast(list[Any], value) for one in given(item)] if isinstance(value, list) else []


def _own(told: Mapping[str, Any]) -> bool:
    made = told.get("class_path")
    return isinstance(made, str) and "." in made and not made.startswith("metatl.")


def keep(value: Any, folder: Path) -> dict[str, str]:
    """Copy what nested plain values name into `folder/files/`; name -> place in the folder.

    Hidden files stay behind, and so does what is larger than 2 GiB, with a line that says so.
    """
    found: dict[str, str] = {}
    for name in words(value):
        place = path_of(name)
        if place is None:
            continue
        if stamp(place)[1] > _MOST:
            processes.say(f"{place} is larger than 2 GiB and stays where it is; {folder} needs it there")
            continue
        inside = f"{_FOLDER}/{fingerprint(place)}/{place.resolve().name}"
        for file in [place] if place.is_file() else files_in(place):
            to = folder / inside / file.relative_to(place)
            if not to.is_file() or fingerprint(to) != fingerprint(file):
                copy(file, to)
        found[name] = inside
    return found


def kept(told: Any, folder: Path) -> dict[str, str]:
    """Name -> path of what `keep` kept there, for the names that lead nowhere here.

    Raises MetatlError where `told`, which stands in a file, is no such mapping, or leads out of the folder.
    """
    found: dict[str, str] = {}
    for name, inside in dict(cast(Mapping[Any, Any], told if isinstance(told, Mapping) else {})).items():
        place = folder / str(inside)
        if not place.resolve().is_relative_to((folder / _FOLDER).resolve()):
            raise MetatlError(f"{folder} keeps a file outside of itself ({str(inside)[:100]}); it is damaged")
        if path_of(str(name)) is None and place.exists():
            found[str(name)] = str(place)
    return found


def placed(value: Any, names: Mapping[str, str]) -> Any:
    """A description whose users' own classes are given other names for files."""
    if isinstance(value, Mapping):
        told = cast(Mapping[str, Any], value)
        if _own(told):
            return {**told, "init_args": renamed(told.get("init_args"), names)}
        return {key: placed(item, names) for key, item in told.items()}
    return [placed(item, names) for item in cast(list[Any], value)] if isinstance(value, list) else value


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Nested plain values with other names for files; what stands after the last @ of a string too."""
    if isinstance(value, Mapping):
        return {key: renamed(item, names) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [renamed(item, names) for item in cast(list[Any], value)]
    if not isinstance(value, str) or not names:
        return value
    front, at, name = value.rpartition("@")
    return names.get(value, front + at + names.get(name, name))
