"""Grids: files whose entries are configs that share parts, start from each other and have controls.

    about: what the rows are
    bases: {common: {data: ...}, guided: {base: common, guide: Shaped}}
    starts: {scouts: {base: common, learner: Scout}}
    controls: {permuted: Permuted}
    rows:
      gtl: {base: guided, start: scouts, controls: [permuted]}

An entry is a config by the path of the file and its name, grid.yaml/gtl. `base` and `start` name entries of
the same grid, or paths of configs from the file. A row with controls stands for itself and for one row each,
here gtl-permuted, whose guide is what the control's guide makes of the row's, and whose family is controls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from metatl.lab import store
from metatl.lab.describe import merged
from metatl.lab.yaml_values import yaml_values
from metatl.text import near
from metatl.types import MetatlError

ENDS = (".yaml", ".yml")
KEYS = ("about", "bases", "starts", "controls", "rows")
Entries = dict[str, tuple[dict[str, Any], Any]]
"""By name, values and the guide of a control, None for other entries."""


@dataclass(frozen=True)
class GridEntry:
    """A config's values as its file says them; at: where `base` and `start` of them lie."""

    values: dict[str, Any]
    grid: Path | None
    folder: Path
    guide: Any = None
    """What a control makes of the guide that the values lead to."""

    def at(self, name: str) -> Path:
        """The path of a config that the values name."""
        inside = self.grid is not None and "/" not in name and not name.endswith(ENDS)
        return self.grid / name if self.grid is not None and inside else self.folder / name

    def completed(self, under: Mapping[str, Any]) -> dict[str, Any]:
        """The values over those of the bases."""
        found = merged(under, self.values)
        if self.guide is None:
            return found
        own = found.get("guide")
        guides = [self.guide] if own is None else [own, self.guide]
        guide = guides[0] if len(guides) == 1 else {"class_path": "InTurn", "init_args": {"guides": guides}}
        return {**found, "guide": guide, "family": "controls"}


def is_config(path: Path) -> bool:
    """Whether a path is that of a config by its name: of a YAML file, or of an entry of one."""
    return path.suffix in ENDS or _in_grid(path)


def entry(path: Path) -> GridEntry:
    """A config file, or an entry of a grid; MetatlError in one line for what is neither."""
    if not _in_grid(path):
        values = _mapping(path)
        if "rows" in values:
            names = [*_rows(values, path)]
            raise MetatlError(
                f"{path} is a grid of {len(names)} rows; name one of them, {path}/{names[0]} say"
            )
        return GridEntry(values, None, path.parent)
    grid, name = path.parent, path.name
    every = _entries(_mapping(grid), grid)
    if name not in every:
        raise MetatlError(f"{grid} has no entry {name!r}{near(name, every)}")
    own, guide = every[name]
    return GridEntry({"name": name, **own}, grid, grid.parent, guide)


def configs(path: Path) -> list[Path]:
    """The configs that a path stands for: those of a grid's rows, or itself."""
    if path.suffix not in ENDS or _in_grid(path):
        return [path]
    values = _mapping(path)
    return [path / name for name in _rows(values, path)] if "rows" in values else [path]


def _in_grid(path: Path) -> bool:
    return path.parent.suffix in ENDS and not path.parent.is_dir()


def _entries(values: Mapping[str, Any], path: Path) -> Entries:
    """All of a grid, by name."""
    if "rows" not in values:
        raise MetatlError(f"{path} is no grid, whose entries stand under rows; name the file alone")
    found = Entries()
    for section in ("bases", "starts"):
        for name, own in _section(values, section, path).items():
            _add(found, name, own, None, path)
    for name, (own, guide) in _rows(values, path).items():
        _add(found, name, own, guide, path)
    return found


def _rows(values: Mapping[str, Any], path: Path) -> Entries:
    """The rows of a grid with their controls, by name, in the order in which they stand there."""
    if other := [key for key in values if key not in KEYS]:
        raise MetatlError(f"{path}: a grid has no {other[0]!r}{near(str(other[0]), KEYS)}")
    controls, found = values.get("controls") or {}, Entries()
    if not isinstance(controls, Mapping):
        raise MetatlError(f"{path}: controls are guides by name, {{permuted: Permuted}} say")
    known = {str(name): guide for name, guide in cast(Mapping[Any, Any], controls).items()}
    for name, own in _section(values, "rows", path).items():
        asked = own.pop("controls", [])
        if not isinstance(asked, list):
            raise MetatlError(f"{path}: controls of row {name} are names, [{', '.join(known)}] say")
        _add(found, name, own, None, path)
        for control in map(str, cast(list[Any], asked)):
            if control not in known:
                raise MetatlError(f"{path}: row {name} has no control {control!r}{near(control, known)}")
            _add(found, f"{name}-{control}", {"base": name}, known[control], path)
    if not found:
        raise MetatlError(f"{path} is a grid without rows; give one or more")
    return found


def _add(found: Entries, name: str, own: dict[str, Any], guide: Any, path: Path) -> None:
    if name in found:
        raise MetatlError(f"{path} has two entries {name!r}; give one another name")
    found[name] = own, guide


def _mapping(path: Path) -> dict[str, Any]:
    grid = path.parent.parent / f"{path.parent.name}{ENDS[0]}"
    if not path.exists() and grid.is_file():
        raise MetatlError(f"{path} is not there; {grid} is a grid, whose entry is {grid / path.stem}")
    values = yaml_values(store.read_text(path, "config"), str(path)) or {}
    if not isinstance(values, dict):
        raise MetatlError(f"{path} holds no keys; a config is a YAML mapping")
    return cast(dict[str, Any], values)


def _section(values: Mapping[str, Any], section: str, path: Path) -> dict[str, dict[str, Any]]:
    """The entries of a section, copied."""
    found = values.get(section) or {}
    if not isinstance(found, Mapping):
        raise MetatlError(f"{path}: {section} are configs by name")
    said = cast(Mapping[Any, Any], found)
    for name, own in said.items():
        if not isinstance(own, Mapping | None):
            raise MetatlError(f"{path}: {name} of {section} holds no keys; a config is a YAML mapping")
    return {str(name): dict(own or {}) for name, own in said.items()}
