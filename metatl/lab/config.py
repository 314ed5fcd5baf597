"""Configs: YAML holds values, the dataclasses are the schema, any key can be overridden."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from metatl.lab import grids
from metatl.lab.describe import completed, describe, merged, named
from metatl.lab.experiment import MOST, Experiment
from metatl.lab.instances import instance
from metatl.lab.mistakes import one_line
from metatl.lab.names import check_names, overridden
from metatl.lab.yaml_values import yaml_text, yaml_values
from metatl.types import MetatlError

_FILES = 100
# What a start shares with the experiment that starts from it; overrides of the others stay with the latter.
SHARED = ("data", "model", "seed", "device", "engine", "runs")


def read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A config's values, merged over those of its `base` (a path, or several, relative to the file).

    path: of a file, or of an entry of a grid (`grid.yaml/maml`, see `metatl.lab.grids`). above: the configs
    whose bases led here. Raises MetatlError in one line for a file that holds no config.
    """
    return _read(path, above, [])


def _read(path: Path, above: tuple[Path, ...], seen: list[Path]) -> dict[str, Any]:
    """seen: every config that was read so far, each as often as it was."""
    found = grids.entry(path)
    if path.resolve() in above:
        raise MetatlError(f"base {path} leads back to itself; let one of its files have no base")
    seen.append(path)
    if len(seen) > _FILES:
        raise MetatlError(f"{path}: its bases are more than {_FILES} files; a config has fewer")
    bases, start = found.values.pop("base", []), found.values.get("start")
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise MetatlError(f"{path}: base is {bases!r}; give the path of a config, or a list of them")
    if not isinstance(start, str | None):
        raise MetatlError(f"{path}: start is {start!r}; give the path of a config")
    under: dict[str, Any] = {}
    for base in bases:
        under = merged(under, _read(found.at(base), (*above, path.resolve()), seen))
    if start is not None:
        found.values["start"] = str(found.at(start))
    return found.completed(under)


def parser(program: str = "metatl run") -> ArgumentParser:
    """The parser whose keys are the fields of `Experiment`."""
    logging.getLogger("jsonargparse").setLevel(logging.ERROR)
    made = ArgumentParser(
        prog=program, exit_on_error=False, description="One experiment; see the keys below."
    )
    made.add_argument(
        "--config", action=ActionConfigFile, help="YAML text or file with values for the keys below"
    )
    made.add_class_arguments(Experiment, None, fail_untyped=False)
    return made


def parse(values: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "config") -> Experiment:
    """An experiment from values and command-line overrides; raises MetatlError in one line."""
    made = parser()
    try:
        _check_grid(values.get("select"))
        whole = completed(values, Experiment)
        said = _overrides(overrides)
        check_names(overridden(whole, said), Experiment)
        words = ["--config", yaml_text(whole), *said]
        return instance(Experiment, made, whole, lambda: made.parse_args(words))
    except MetatlError as error:
        raise MetatlError(f"{where}: {error}") from error
    except Exception as error:
        raise MetatlError(
            f"{where}: {one_line(error)}; 'metatl run --help-config' lists what a config may hold"
        ) from error


def _check_grid(select: Any) -> None:
    """Raise MetatlError for more values than can be tried: reading them takes minutes already."""
    values = cast(Mapping[str, Any], select).values() if isinstance(select, Mapping) else ()
    if sum(len(cast(list[Any], items)) for items in values if isinstance(items, list)) > MOST:
        raise MetatlError(f"select: more than {MOST} values; give fewer")


def _completed_override(word: str, key: str) -> str:
    """An override that names a class, with that class's own defaults (see `completed`)."""
    if key in ("name", "start", "family", "head", "device", "runs"):
        return word
    try:
        value = yaml_values(word, key)
    except MetatlError:
        return word
    # A path is no class, and looking for its module would import, that is run, a file of that name.
    classy = isinstance(value, str) and (key == "model" or value.rpartition(".")[2][:1].isupper())
    if classy and not Path(value).exists() and named(value) is not None:
        value = {"class_path": value}
    inner: list[Any] = value if isinstance(value, list) else [value]
    return json.dumps(completed({key: value})[key]) if any(isinstance(v, Mapping) for v in inner) else word


def _overrides(words: Sequence[str]) -> list[str]:
    """Overrides as the parser takes them; `--engine.class_path Loop` says what `--engine Loop` does."""
    key, found = "", list[str]()
    for word in words:
        if word.startswith("--"):
            front, equals, value = word.partition("=")
            front = front.removesuffix(".class_path")
            key = front[2:]
            found.append(front + equals + _completed_override(value, key) if equals else front)
        else:
            found.append(_completed_override(word, key))
    return found


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a config file; raises MetatlError naming the file."""
    return parse(read(path), overrides, str(path))


def start_of(experiment: Experiment, overrides: Sequence[str] = ()) -> tuple[Experiment, list[str]] | None:
    """The experiment that `start` names, and the overrides that both share.

    A start may learn from other data (digits, say, and then characters): values of the experiment's data then
    do not reach it. An override that names a class of data replaces the start's too.
    """
    if experiment.start is None:
        return None
    kept, names_data = list[str](), False
    without_data = list[str]()
    key = ""
    for word in overrides:
        key = word[2:].split("=")[0] if word.startswith("--") else key
        first = key.split(".")[0]
        names_data |= key in ("data", "data.class_path")
        kept += [word] if first in SHARED else []
        without_data += [word] if first in SHARED and first != "data" else []
    path = Path(experiment.start)
    if not names_data and kept != without_data:
        own = load(path, without_data)
        if type(own.data) is not type(experiment.data):
            return own, without_data
    return load(path, kept), kept


def parted(first: str, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides whose key is `first` or begins with it (`data`, `data.path`), and the others."""
    inside, outside, into = list[str](), list[str](), list[str]()
    for word in overrides:
        if word.startswith("--"):
            key = word[2:].partition("=")[0]
            into = inside if key.partition(".")[0] == first else outside
        into.append(word)
    return inside, outside


def dump(experiment: Experiment) -> str:
    """The resolved config as YAML."""
    return yaml.safe_dump(describe(experiment), sort_keys=False)


def digest(value: Any) -> str:
    """10 hex digits over a description."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]
