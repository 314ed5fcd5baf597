"""Configs: YAML holds values, the dataclasses are the schema, any key can be overridden."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from metatl import data, engines, guides, heads, learners, models, objectives, rules, store
from metatl.experiment import Experiment
from metatl.types import MetatlError

FAMILIES = (data, engines, guides, heads, learners, models, objectives, rules)
"""Imported so that a config may name their members without the module's path."""

# What a start shares with the experiment that starts from it; overrides of the others stay with the latter.
SHARED = ("data", "model", "seed", "device", "engine", "runs")


def read(path: Path) -> dict[str, Any]:
    """A config's values, merged over those of its `base` (a path, or several, relative to the file)."""
    text = store.read_text(path, "config")
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        where = str(error).replace("\n", " ")
        raise MetatlError(f"{path} is not valid YAML: {where}") from error
    if not isinstance(values, dict):
        raise MetatlError(f"{path} holds no keys; a config is a YAML mapping")
    values = cast(dict[str, Any], values)
    bases = values.pop("base", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = _merge(merged, read(path.parent / base))
    if values.get("start") is not None:
        values["start"] = str(path.parent / str(values["start"]))
    return _merge(merged, values)


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key; a member of a family (class_path) replaces another class whole."""
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        other_class = (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and "class_path" in value
            and old.get("class_path") != value["class_path"]
        )
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and not other_class
        result[key] = _merge(cast(Mapping[str, Any], old), cast(Mapping[str, Any], value)) if both else value
    return result


def parser(program: str = "metatl run") -> ArgumentParser:
    """The parser whose keys are the fields of `Experiment`."""
    logging.getLogger("jsonargparse").setLevel(logging.ERROR)
    made = ArgumentParser(
        prog=program, exit_on_error=False, description="One experiment; see the keys below."
    )
    made.add_argument(
        "--config", action=ActionConfigFile, help="YAML text or file with values for the keys below"
    )
    made.add_class_arguments(Experiment, None)
    return made


def parse(values: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "config") -> Experiment:
    """An experiment from values and command-line overrides; raises MetatlError in one line."""
    made = parser()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = yaml.safe_dump(_own_model(values), sort_keys=False)
            found = made.parse_args(["--config", text, *overrides])
            fields = made.instantiate(found)
            return Experiment(**{field.name: fields[field.name] for field in dataclasses.fields(Experiment)})
    except MetatlError as error:
        raise MetatlError(f"{where}: {error}") from error
    except Exception as error:
        raise MetatlError(
            f"{where}: {_one_line(error)}; 'metatl run --help-config' lists what a config may hold"
        ) from error


def _own_model(values: Mapping[str, Any]) -> dict[str, Any]:
    """A model's short name means ours, whichever other package has a module of that name (torchvision: MLP)."""
    model: Any = values.get("model")
    named = {"class_path": model} if isinstance(model, str) else model
    if not isinstance(named, Mapping) or named.get("class_path") not in models.__all__:
        return dict(values)
    name = named["class_path"]
    return {**values, "model": {**named, "class_path": f"{models.__name__}.{name}"}}


def _one_line(error: Exception) -> str:
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    noise = (
        "Subtypes:",
        "Errors:",
        "Given value type:",
        "Given value:",
        "Does not validate",
        "Expected a <class 'None",
    )
    return ": ".join(line.rstrip(":") for line in lines if not line.startswith(noise))


def load(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a config file; raises MetatlError naming the file."""
    return parse(read(path), overrides, str(path))


def start_of(experiment: Experiment, overrides: Sequence[str] = ()) -> Experiment | None:
    """The experiment that `start` names, with those overrides that both share."""
    if experiment.start is None:
        return None
    kept: list[str] = []
    take = False
    for word in overrides:
        if word.startswith("--"):
            take = word[2:].split("=")[0].split(".")[0] in SHARED
        if take:
            kept.append(word)
    return load(Path(experiment.start), kept)


def describe(value: Any) -> Any:
    """Plain values that say everything an instance was made of; a config that gives it again."""
    if isinstance(value, functools.partial):
        made = next(part for part in value.args if inspect.isclass(part))
        keys = list(inspect.signature(made).parameters.values())[2:]
        known = {key.name: value.keywords.get(key.name, key.default) for key in keys}
        return {"class_path": _path(made), "init_args": {key: describe(item) for key, item in known.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        # A member of a family says which one it is; a plain dataclass is known from its place.
        return {"class_path": _path(type(value)), "init_args": fields} if _in_family(value) else fields
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, tuple | list):
        return [describe(item) for item in cast(Sequence[Any], value)]
    return value


def _path(made: type) -> str:
    return f"{made.__module__}.{made.__qualname__}"


def _in_family(value: Any) -> bool:
    return type(value).__bases__ != (object,)


def dump(experiment: Experiment) -> str:
    """The resolved config as YAML."""
    return yaml.safe_dump(describe(experiment), sort_keys=False)


def digest(value: Any) -> str:
    """10 hex digits over a description."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]
