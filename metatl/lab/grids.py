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
    return path.suffix in ENDS or path.parent.suffix in ENDS


def entry(path: Path) -> GridEntry:
    """A config file, or an entry of a grid; MetatlError in one line for what is neither."""
    if path.parent.suffix not in ENDS or path.parent.is_dir():
        values = _mapping(path)
        if "rows" in values:
            names = [*rows_of(values, path)]
            raise MetatlError(
                f"{path} is a grid of {len(names)} rows; name one of them, {path}/{names[0]} say"
            )
        return GridEntry(values, None, path.parent)
    grid, name = path.parent, path.name
    values = _mapping(grid)
    every = _entries(values, grid)
    if name not in every:
        raise MetatlError(f"{grid} has no entry {name!r}{near(name, every)}")
    own = {"name": name, **every[name]}
    control = own.pop("control", None)
    return GridEntry(own, grid, grid.parent, control)


def _entries(values: Mapping[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """All of a grid, by name."""
    found = dict[str, dict[str, Any]]()
    for some in (_section(values, "bases", path), _section(values, "starts", path), rows_of(values, path)):
        if twice := found.keys() & some.keys():
            raise MetatlError(f"{path} has two entries {min(twice)!r}; give one another name")
        found |= some
    return found


def rows_of(values: Mapping[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a grid with their controls, by name, in the order in which they stand there."""
    controls, found = values.get("controls") or {}, dict[str, dict[str, Any]]()
    if other := [key for key in values if key not in KEYS]:
        raise MetatlError(f"{path}: a grid has no {other[0]!r}{near(str(other[0]), KEYS)}")
    if not isinstance(controls, Mapping):
        raise MetatlError(f"{path}: controls are guides by name, {{permuted: Permuted}} say")
    for name, own in _section(values, "rows", path).items():
        asked = own.pop("controls", [])
        if not isinstance(asked, list):
            raise MetatlError(
                f"{path}: controls of row {name} are names, [{', '.join(map(str, controls))}] say"
            )
        found[name] = own
        for control in asked:
            if control not in controls:
                raise MetatlError(f"{path}: row {name} has no control {control!r}{near(control, controls)}")
            found[f"{name}-{control}"] = {"base": name, "control": cast(Any, controls)[control]}
    return found


def configs(path: Path) -> list[Path]:
    """The configs that a path stands for: those of a grid's rows, or itself."""
    if path.suffix not in ENDS or path.parent.suffix in ENDS:
        return [path]
    values = _mapping(path)
    return [path / name for name in rows_of(values, path)] if "rows" in values else [path]


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
