"""From instances to plain values that make them again, and from a config's values to complete ones."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from jsonargparse import Namespace

from metatl import (
    adapt,
    aggregates,
    alignments,
    data,
    density_ratio,
    engines,
    features,
    guides,
    heads,
    importing,
    learners,
    models,
    objectives,
    rules,
    transforms,
    views,
)
from metatl.importing import dotted
from metatl.lab.mistakes import at
from metatl.types import MetatlError

FAMILIES = (
    *(adapt, aggregates, data, engines, guides, heads, alignments, density_ratio, learners, models),
    *(objectives, rules, transforms, views),
    features,
)
"""A config may name their members without the module's path; a short name always means ours."""


def describe(value: Any) -> Any:
    """Plain values that say everything an instance was made of; a config that gives it again."""
    if isinstance(value, functools.partial):
        made = next(part for part in value.args if inspect.isclass(part))
        known = {name: value.keywords.get(name, default) for name, default in arguments(made)}
        known = {
            name: item for name, item in known.items() if item is not inspect.Parameter.empty
        }  # shape, outputs
        return {"class_path": dotted(made), "init_args": {key: describe(item) for key, item in known.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _described(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)}
        # A member of a family says which one it is; a plain dataclass is known from its place.
        return {"class_path": dotted(type(value)), "init_args": fields} if _in_family(value) else fields
    if isinstance(value, Mapping):
        return {str(key): _described(str(key), item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, tuple | list):
        return [_described(str(place), item) for place, item in enumerate(cast(Sequence[Any], value))]
    if isinstance(value, Namespace):  # a class where any plain value may stand; nothing has been made of it
        path = str(getattr(value, "class_path", "a class")).rpartition(".")[2]
        raise MetatlError(f"{path} stands where plain values are wanted; give a number, a word or a list")
    return value


def _described(key: str, value: Any) -> Any:
    with at(key):
        return describe(value)


def _in_family(value: Any) -> bool:
    return type(value).__bases__ != (object,)


def arguments(made: type) -> Iterator[tuple[str, Any]]:
    """Names and defaults of what a config may give a class; a model is also given shape and outputs."""
    given = ("shape", "outputs") if made.__module__.startswith(models.__name__) else ()
    for key in inspect.signature(made).parameters.values():
        if key.name not in given and key.kind in (key.POSITIONAL_OR_KEYWORD, key.KEYWORD_ONLY):
            yield key.name, key.default


def _annotations(made: type) -> Iterator[tuple[str, set[str]]]:
    """Names of a class's arguments, and the words of their types."""
    for key in inspect.signature(made).parameters.values():
        yield key.name, set(re.findall(r"\w+", str(key.annotation)))


def named(word: Any) -> Any:
    """The class (or function) of a class_path: a family's member by its short name, or any by its full path.

    None for what is no such path, or cannot be imported; raises MetatlError where it may not be.
    """
    if not isinstance(word, str):
        return None
    if (ours := _ours(word)) is not None:
        return ours
    if "." not in word or not all(part.isidentifier() for part in word.split(".")):
        return None
    try:
        there = importing.found(word)
    except MetatlError:
        raise
    except Exception:  # whatever a module raises as it is imported: what is wrong is said where it is needed
        return None
    return there if inspect.isclass(there) or inspect.isroutine(there) else None


def _ours(word: str) -> type | None:
    found = (getattr(family, word, None) for family in FAMILIES)
    return next((made for made in found if inspect.isclass(made)), None)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key; a member of a family (class_path) replaces another class whole."""
    result = dict(under)
    for key, value in over.items():
        with at(key):
            result[key] = _over(result.get(key), value)
    return result


def _over(old: Any, value: Any) -> Any:
    """A value over the one that it stands for, old."""
    if not isinstance(old, Mapping):
        return value
    old = cast(Mapping[str, Any], old)
    if "class_path" in old and (made := named(value)) is not None:
        value = {"class_path": dotted(made)}
    if _options(old, value):
        value = {"init_args": value}
    both = isinstance(value, Mapping) and not _another(old, cast(Mapping[Any, Any], value))
    return merged(old, cast(Mapping[str, Any], value)) if both else value


def _options(old: Mapping[str, Any], new: Any) -> bool:
    """Whether `new` holds options of the member of a family that `old` names, without naming it again."""
    return "class_path" in old and isinstance(new, Mapping) and not {"class_path", "init_args"} & set(new)


def _another(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> bool:
    one, two = old.get("class_path"), new.get("class_path")
    return two is not None and one != two and (named(one) or one) != (named(two) or two)


def completed(values: Mapping[str, Any], made: type | None = None) -> dict[str, Any]:
    """A config's values with every default of every class that they name (of `made` at the top) written out.

    jsonargparse lets a class inherit the arguments of the one that it replaces, by name: `rule: Adam` would
    take the rate of the default SGD, and a learner the steps of the default one. And it finds `model: MLP`
    ambiguous once another library with an MLP has been imported: a short name is written out as ours.
    """
    known = {} if made is None else dict(arguments(made))
    taken = {} if made is None else dict(_annotations(made))
    words = {n: word for n, word in values.items() if isinstance(word, str) and "str" not in taken.get(n, "")}
    # A full path is a class only where something else than any value is wanted.
    for name, word in words.items():
        with at(name):
            one = named(word) if _says(taken.get(name)) else _ours(word)
        values = {**values, name: word if one is None else {"class_path": dotted(one)}}
    defaults = {name: describe(default) for name, default in known.items() if _plain(default)}
    whole: dict[str, Any] = {}
    for name, value in merged(defaults, values).items():
        with at(name):
            whole[name] = _completed(value)
    return whole


def _completed(value: Any) -> Any:
    if isinstance(value, list):
        return [_completed(item) for item in cast(list[Any], value)]
    if not isinstance(value, Mapping):
        return value
    value = cast(Mapping[str, Any], value)
    made = named(value.get("class_path"))
    if made is None:
        return {key: _completed(item) for key, item in value.items()}
    if not inspect.isclass(made):  # a function, which makes a net if anything
        return _completed(
            {
                "class_path": dotted(models.Factory),
                "init_args": {"path": dotted(made), "arguments": value.get("init_args") or {}},
            }
        )
    arguments = completed(value.get("init_args") or {}, made)
    return {**value, "class_path": dotted(made), "init_args": arguments}


def _says(words: set[str] | None) -> bool:
    return words is not None and not words & {"Any", "_empty"}


def _plain(default: Any) -> bool:
    return default is not inspect.Parameter.empty and "factory" not in type(default).__name__.lower()
