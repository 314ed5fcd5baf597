"""Names in a config that are none, said with the nearest ones before anything is parsed or called."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, cast

from torch import nn

from metatl import importing
from metatl.lab.describe import arguments, merged, named
from metatl.lab.instances import families
from metatl.lab.yaml_values import yaml_values
from metatl.text import near
from metatl.types import MetatlError


def check_names(values: Mapping[str, Any], made: type, where: str = "") -> None:
    """Raise MetatlError for the first key that `made` does not take, or class that is none, nested ones too.

    Values whose type is wrong pass: they are parsed later.
    """
    known, given = dict(arguments(made)), _hints(made)
    for key, value in values.items():
        here = f"{where}.{key}".strip(".")
        if not isinstance(key, str):
            raise MetatlError(f"{here}: a key is a word, and {key!r} is none")
        if key in known:
            _check(value, given.get(key), here)
        elif not _takes_any(made):
            owner = f"{where}: {made.__name__}" if where else "a config"
            raise MetatlError(f"{owner} has no key '{key}'{near(key, known)}")


def overridden(values: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """A config's values with the command line's overrides in them: `--learner.steps 3`, `--seed=1`."""
    found, key = dict(values), ""
    for word in words:
        front, equals, value = word.partition("=") if word.startswith("--") else (key, "=", word)
        key = front
        if not equals or key.endswith("+"):
            continue
        try:
            inner = yaml_values(value, key)
        except MetatlError:
            inner = value
        for part in reversed(key.removeprefix("--").split(".")):
            inner = {part: inner}
        found = merged(found, cast(dict[str, Any], inner))
    return found


def _check(value: Any, hint: Any, here: str) -> None:
    bases = tuple(dict.fromkeys(_classes(hint)))
    if not bases:
        return
    if isinstance(value, list):
        for place, item in enumerate(cast(list[Any], value)):
            _check(item, hint, f"{here}.{place}")
    elif isinstance(value, str):
        if value not in (literals := _literals(hint)):
            _class(value, bases, here, literals)
    elif isinstance(value, Mapping):
        _check_mapping(cast(Mapping[str, Any], value), hint, bases, here)


def _check_mapping(value: Mapping[str, Any], hint: Any, bases: tuple[type, ...], here: str) -> None:
    if "class_path" in value:
        path, beside = value["class_path"], set(value) - {"class_path", "init_args"}
        made = _class(path, bases, here) if isinstance(path, str) else None
        if beside:
            raise MetatlError(f"{here}: '{min(beside)}' stands beside class_path; put it under init_args")
        if made is not None and isinstance(value.get("init_args"), Mapping):
            check_names(value["init_args"], made, here)
    elif dict in {typing.get_origin(part) for part in (hint, *typing.get_args(hint))}:
        for name, item in value.items():
            _check(item, bases[0], f"{here}.{name}")
    elif len(bases) == 1 and is_dataclass(bases[0]) and not inspect.isabstract(bases[0]):
        check_names(value, bases[0], here)


def _class(word: str, bases: tuple[type, ...], here: str, literals: Sequence[str] = ()) -> type | None:
    """The class of this name, None for a function; MetatlError where nothing has the name."""
    made = named(word)
    if made is None:
        if "." in word:
            _say_why(word, here)
        names = [*literals, *(one.__name__ for one in families() if issubclass(one, bases))]
        names = [name for name in names if name not in {base.__name__ for base in bases}]
        raise MetatlError(f"{here}: there is no {bases[0].__name__} '{word}'{near(word, names)}")
    return made if inspect.isclass(made) else None


def _say_why(path: str, here: str) -> None:
    """Raise MetatlError where a dotted path leads nowhere: a module that is not there, or lacks the name."""
    try:
        importing.found(path)
    except MetatlError as error:
        raise MetatlError(f"{here}: {error}") from error
    except AttributeError as error:
        names = [name for name in vars(error.obj) if name[0] != "_"] if inspect.ismodule(error.obj) else []
        raise MetatlError(f"{here}: {error}{near(path.rpartition('.')[2], names)}") from error
    except Exception as error:  # whatever a module raises as it is imported
        raise MetatlError(f"{here}: {path} cannot be imported: {error or type(error).__name__}") from error


def _classes(hint: Any) -> Iterator[type]:
    """The classes inside a type whose members, or keys, a config may give."""
    if inspect.isclass(hint) and (hint is nn.Module or hint in families() or is_dataclass(hint)):
        yield hint
    for inner in typing.get_args(hint):
        yield from _classes(inner)


def _hints(made: type) -> dict[str, Any]:
    """The types of what a class takes, by key."""
    try:
        return typing.get_type_hints(made.__new__ if "__new__" in vars(made) else made.__init__)
    except (NameError, TypeError):  # a name that only type checkers import
        return {}


def _takes_any(made: type) -> bool:
    return any(key.kind is key.VAR_KEYWORD for key in inspect.signature(made).parameters.values())


def _literals(hint: Any) -> list[str]:
    """The words that a type takes."""
    if typing.get_origin(hint) is Literal:
        return [str(word) for word in typing.get_args(hint)]
    return [word for part in typing.get_args(hint) for word in _literals(part)]
