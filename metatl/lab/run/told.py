"""What `learned.json` says of a finished run, so that it needs neither its start nor other files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from metatl.lab import store
from metatl.pretrained.finished import FACTS, VERSION, WEIGHTS
from metatl.transforms import Transform
from metatl.types import MetatlError


@dataclass(frozen=True)
class Told:
    """A finished run directory.

    digest: of the run ("": it was learned before runs said so); inputs: what its name says beside the config;
    whole: whether it says where it started from: digest and transforms of that run, None and () for none;
    data: as described; kept: files that its values name and that are not there, by name, with the paths of
    its own copies.
    """

    folder: Path
    digest: str
    inputs: Mapping[str, Any]
    whole: bool
    start: str | None
    described: list[Any]
    data: Any
    kept: Mapping[str, str]
    transforms: tuple[Transform, ...] = field(default=())

    def named(self, described: Mapping[str, Any], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The description as it was when the run was learned: the same data may lie elsewhere now."""
        alike = self.inputs.get("content") is not None and self.inputs["content"] == inputs.get("content")
        if alike and isinstance(self.data, Mapping):
            return {**described, "data": cast(Mapping[str, Any], self.data)}
        return described


def facts(folder: Path) -> dict[str, Any]:
    """What `learned.json` says. Raises MetatlError for a missing, newer or damaged one."""
    told = store.read_json(folder / FACTS)
    if not isinstance(told, dict):
        raise damaged(folder)
    told = cast(dict[str, Any], told)
    store.refuse_newer(folder / FACTS, told.get("version"), VERSION)
    return told


def damaged(folder: Path) -> MetatlError:
    """The line for facts that say nonsense."""
    return MetatlError(f"{folder / FACTS} is damaged; delete it and run the config again")


def told(folder: Path) -> Told | None:
    """What a run directory says of itself, None for one that is not finished; MetatlError as `facts`."""
    if not (folder / FACTS).is_file() or not (folder / WEIGHTS).is_file():
        return None
    found = facts(folder)
    try:
        start = cast(Mapping[str, Any], found.get("start") or {})
        inputs = found.get("inputs", {})
        return Told(
            folder,
            str(found.get("digest", "")),
            dict(inputs) if isinstance(inputs, Mapping) else {},
            "start" in found,
            str(start["digest"]) if start else None,
            list(start["transforms"]) if start else [],
            found.get("data"),
            store.kept(found.get("kept"), folder),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise damaged(folder) from error
