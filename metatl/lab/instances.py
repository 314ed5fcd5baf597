"""From parsed values to instances: the one place where classes that values name are called.

Values pass three gates. `metatl.importing` says of every dotted path whether it may be imported at all, and
jsonargparse is given that very decision; what a class must be follows from where it stands, and is checked
over all values before the first one is called.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast
from unittest import mock

from jsonargparse import ArgumentParser, Namespace
from jsonargparse._common import parsing_settings
from torch import nn

from metatl import importing
from metatl.text import near
from metatl.types import MetatlError

_SETTINGS = ("import_path_verdicts", "import_paths_enforced", "instantiate_subclass_spec_in_any")


def instance(
    made: type[Any], parser: ArgumentParser, values: Mapping[str, Any], parse: Callable[[], Namespace]
) -> Any:
    """An instance of a dataclass from what `parse` finds, once every class in it may stand where it does.

    values: completed ones, of which that is said in clearer words before they are parsed.
    """
    with warnings.catch_warnings(), _one_decision():
        warnings.simplefilter("ignore")
        _check({key: value for key, value in values.items() if key == "model"}, "", ())
        found = parse()
        _check(vars(found), "", ())
        whole = parser.instantiate(found)
        return made(**{field.name: whole[field.name] for field in dataclasses.fields(made)})


class _Verdicts(dict[str, bool]):
    """Every path is decided upon, each by `metatl.importing`."""

    def __contains__(self, path: object) -> bool:
        return True

    def __getitem__(self, path: str) -> bool:
        return importing.refusal(path) is None


@contextmanager
def _one_decision() -> Generator[None]:
    """jsonargparse imports what `metatl.importing` allows; its own settings are restored afterwards."""
    if missing := set(_SETTINGS) - parsing_settings.keys():
        raise MetatlError(f"this jsonargparse does not know {', '.join(missing)}; install the pinned one")
    ours = dict(zip(_SETTINGS, (_Verdicts(), True, True), strict=True))
    with mock.patch.dict(parsing_settings, ours):
        yield


def _check(value: Any, key: str, around: tuple[str, ...]) -> None:
    """Refuse a class that may not stand at `key`. around: packages of the classes that it is given to."""
    if isinstance(value, list | tuple):
        for place, item in enumerate(cast(Sequence[Any], value)):
            _check(item, f"{key}.{place}", around)
    elif inspect.isroutine(value):
        raise MetatlError(f"{key}: {importing.dotted(value)} is a function; name a class")
    elif isinstance(value, Namespace):
        _check(vars(value), key, around)
    elif isinstance(value, Mapping):
        values = cast(Mapping[str, Any], value)
        if isinstance(path := values.get("class_path"), str):
            _check_class(path, key, around)
            around = (*around, path.partition(".")[0], *(["torch"] if key == "model" else []))
        for name, item in values.items():
            _check(item, key if name == "init_args" else f"{key}.{name}".strip("."), around)


def _check_class(path: str, key: str, around: tuple[str, ...]) -> None:
    if "." not in path:
        raise MetatlError(f"{key}: there is no class '{path}'{near(path, [m.__name__ for m in families()])}")
    try:
        made = importing.found(path)
    except (MetatlError, ImportError, AttributeError, ValueError) as error:
        raise MetatlError(f"{key}: {error}") from error
    if not inspect.isclass(made):
        raise MetatlError(f"{key}: {path} is no class")
    if key == "model":
        if not issubclass(made, nn.Module):
            raise MetatlError(f"model: {path} is no nn.Module; name a class of nets, or a function of one")
    elif path.partition(".")[0] not in around and not issubclass(made, families()):
        raise MetatlError(f"{key}: {path} belongs to no family of metatl's; name a member of one")


def families() -> tuple[type, ...]:
    """Every class of metatl's that a family shows."""
    doors = [import_module(f"metatl.{name}") for name in importing.FAMILIES]
    shown = (getattr(door, name) for door in doors for name in door.__all__)
    return tuple({made for made in shown if inspect.isclass(made) and made.__module__.startswith("metatl.")})
