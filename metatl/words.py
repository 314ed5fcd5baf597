"""Fields that offer a few words, looked at where a value is made, in Python as in a config."""

from __future__ import annotations

import functools
import sys
import typing
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal

from metatl.errors import MetatlError
from metatl.text import near


def check_words(value: object) -> None:
    """Raise MetatlError where a field that offers a few words (`Literal`) holds another one."""
    for name, offered in _offered(type(value)).items():
        if (held := getattr(value, name)) not in offered:
            words = [str(word) for word in offered]
            raise MetatlError(f"{type(value).__name__}: {name} is {held!r}{near(str(held), words)}")


@functools.cache
def _offered(kind: type) -> Mapping[str, tuple[Any, ...]]:
    """The values that fields offer, by name; a field whose type only a checker of types can read has none."""
    found: dict[str, tuple[Any, ...]] = {}
    for base in reversed(kind.__mro__):
        for name, said in vars(base).get("__annotations__", {}).items():
            one = SimpleNamespace(__annotations__={name: said})
            try:
                hint = typing.get_type_hints(one, vars(sys.modules[base.__module__]))[name]
            except NameError:
                continue
            if typing.get_origin(hint) is Literal:
                found[name] = typing.get_args(hint)
    return found
