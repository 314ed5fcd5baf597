"""Fields of values, looked at where a value is made, in Python as in a config."""

from __future__ import annotations

import functools
import numbers
import sys
import types
import typing
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Literal

from metatl.errors import MetatlError

_NUMBERS = {int: (numbers.Integral, "a whole number"), float: (numbers.Real, "a number")}


def check_fields(value: object) -> None:
    """Raise MetatlError where a field holds what its type does not offer.

    Looked at are words (`Literal`), numbers, tuples, and members of metatl's families; of a field of several
    kinds each is one, and a field whose type only a checker of types can read takes anything. None is not
    looked at: a config names the key that is null.
    """
    for name, kinds in _offered(type(value)).items():
        held = getattr(value, name)
        if held is None or any(_fits(held, kind) for kind in kinds):
            continue
        words = [word for kind in kinds for word in _called(kind)]
        *some, last = words
        given = f"{', '.join(some)} or {last}" if some else last
        raise MetatlError(f"{type(value).__name__}: {name} is {_shown(held)}; give {given}")


class Checked:
    """What looks at its fields as it is made, before its own `__post_init__`."""

    def __init_subclass__(cls, **given: Any) -> None:
        """Look at the fields before whatever the class does once it is made."""
        super().__init_subclass__(**given)
        own = vars(cls).get("__post_init__")
        if own is not None:
            setattr(cls, "__post_init__", _looked_at(own))  # noqa: B010 - of whatever class

    def __post_init__(self) -> None:
        """Raise MetatlError where a field holds what its type does not offer."""
        check_fields(self)


def _looked_at(own: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(own)
    def made(self: Any) -> None:
        check_fields(self)
        own(self)

    return made


def _fits(held: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is Literal:
        return held in typing.get_args(kind)
    if kind in _NUMBERS:
        return isinstance(held, _NUMBERS[kind][0]) and not isinstance(held, bool)
    made = typing.get_origin(kind) or kind
    return isinstance(held, (tuple, list) if made is tuple else made)


def _called(kind: Any) -> list[str]:
    if typing.get_origin(kind) is Literal:
        return [str(word) for word in typing.get_args(kind)]
    if kind in _NUMBERS:
        return [_NUMBERS[kind][1]]
    made = typing.get_origin(kind) or kind
    return ["null" if made is types.NoneType else f"a {made.__name__}"]


def _shown(held: Any) -> str:
    return f"a {type(held).__name__}" if len(repr(held)) > 60 else repr(held)


@functools.cache
def _offered(kind: type) -> Mapping[str, tuple[Any, ...]]:
    """The kinds of values that fields take, by name, of those that can be looked at."""
    found: dict[str, tuple[Any, ...]] = {}
    for base in reversed(kind.__mro__):
        known = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        for name, said in vars(base).get("__annotations__", {}).items():
            found.pop(name, None)
            one = SimpleNamespace(__annotations__={name: said})
            try:
                hint = typing.get_type_hints(one, known).get(name)
            except Exception:  # a name of checkers of types alone, a ClassVar, whatever somebody writes
                continue
            several = typing.get_origin(hint) in (typing.Union, types.UnionType)
            kinds = typing.get_args(hint) if several else (hint,)
            if all(map(_can_be_looked_at, kinds)):
                found[name] = kinds
    return found


def _can_be_looked_at(kind: Any) -> bool:
    made = typing.get_origin(kind) or kind
    if made is Literal or made in (int, float, tuple, types.NoneType):
        return True
    ours = isinstance(made, type) and made.__module__.startswith("metatl.")
    return ours and not getattr(made, "_is_protocol", False)
