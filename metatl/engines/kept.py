"""What an engine makes once and keeps."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class kept(Generic[T]):  # noqa: N801 - used like functools.cached_property
    """`functools.cached_property`, the value kept beside the object instead of in it.

    An engine is plain values and may be the default of a config's key: what it holds there would be read as
    options. The value lives as long as the object, which is told by identity.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._values: dict[int, tuple[weakref.ref[Any], T]] = {}

    def __get__(self, instance: Any, owner: type) -> T:
        """The object's own value, made at the first call."""
        key = id(instance)
        found = self._values.get(key)
        if found is None or found[0]() is not instance:
            gone = weakref.ref(instance, lambda _: self._values.pop(key, None))
            found = self._values[key] = gone, self._make(instance)
        return found[1]
