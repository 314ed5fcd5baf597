"""A package that imports what it shows when that is first asked for, so that nobody waits for the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def door(
    package: str, shown: Mapping[str, str], modules: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The package's `__getattr__` and `__dir__` (PEP 562).

    shown: by module of the package, the names that it shows of it, with spaces between them; modules: those
    that are shown themselves. Type checkers read the same from imports under TYPE_CHECKING and `__all__`.
    """
    home = {name: module for module, names in shown.items() for name in names.split()}

    def find(name: str) -> Any:
        if name in modules.split():
            return import_module(f"{package}.{name}")
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    def names() -> list[str]:
        return sorted({*home, *modules.split(), *vars(sys.modules[package])})

    return find, names
