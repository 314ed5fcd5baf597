"""What a report belongs to: digests, hashes, versions, and the command that repeats it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

Values = Mapping[str, Any]
_MODULES = ("metatl", "metatl.lab.cli")


def command_words(words: Sequence[Any]) -> list[str]:
    """The words of a process as one types them: `metatl ...`, whichever interpreter and file that was."""
    said = [str(word) for word in words]
    for place, word in enumerate(said):
        if word == "-m" and said[place + 1 : place + 2] and said[place + 1] in _MODULES:
            return ["metatl", *said[place + 2 :]]
        if PurePath(word).name == "metatl":
            return ["metatl", *said[place + 1 :]]
    return said


def code(provenance: Values) -> dict[str, Any]:
    """Of a provenance: commit, machine, versions; no times."""
    commit = str(provenance.get("commit") or "")[:12]
    changed = " with uncommitted changes" if provenance.get("dirty") else ""
    found = {
        "code": commit + changed if commit else None,
        "device": provenance.get("device"),
        "threads": provenance.get("threads"),
        "platform": provenance.get("platform"),
        "versions": {name: v for name, v in (provenance.get("versions") or {}).items() if v is not None},
    }
    return {name: value for name, value in found.items() if value is not None}
