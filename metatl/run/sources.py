"""What of a run's values is somebody's own: modules, whose source is hashed, and files that values name."""

from __future__ import annotations

import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from metatl import store

_OURS = ("metatl", "torch")
_HERE = Path(__file__).resolve().parent.parent


@cache
def _installed_in() -> tuple[Path, ...]:
    """Where packages and the standard library lie: what is imported from there is nobody's own."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(kind)).resolve() for kind in kinds})


def is_own(file: str | None) -> bool:
    """Whether a source file is a user's own: neither metatl's, nor installed, nor of the standard library."""
    if not file or file.startswith("<") or not file.endswith((".py", ".ipynb")):
        return False
    place = Path(file).resolve()
    return not any(place.is_relative_to(folder) for folder in (_HERE, *_installed_in()))


def strings(value: Any) -> Iterator[str]:
    """Every string in nested plain values, keys left out."""
    if isinstance(value, Mapping):
        for item in cast(Mapping[Any, Any], value).values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in cast(list[Any], value):
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def sources(described: Any) -> dict[str, str]:
    """Module -> hash of its source, for every class or function of somebody's that the values name.

    Of a user's own modules also those of his that they import at their top (a model's layers in another
    file); of an installed package's classes the module that defines them. None of torch's and metatl's.
    """
    waiting = [module for word in strings(described) for module in _module_of(word)]
    found: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        file = getattr(module, "__file__", None)
        if module.__name__ in found or not file or not Path(file).is_file():
            continue
        found[module.__name__] = store.fingerprint(Path(file))
        if is_own(file):
            waiting += [other for other in _imported(module) if is_own(getattr(other, "__file__", None))]
    return dict(sorted(found.items()))


def _module_of(word: str) -> Iterator[ModuleType]:
    """The loaded module that a dotted path (a.b.Name, or a.b:name) leads into, if it is not ours."""
    parts = word.replace(":", ".").split(".")
    if parts[0] in _OURS or not all(part.isidentifier() for part in parts):
        return
    for end in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:end]))
        if module is not None:
            if hasattr(module, parts[end]):
                yield module
            return


def _imported(module: ModuleType) -> Iterator[ModuleType]:
    """The modules that a module's names are, or come from."""
    for value in list(vars(module).values()):
        name = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
        found = sys.modules.get(name) if isinstance(name, str) else None
        if found is not None and name is not None and name.partition(".")[0] not in _OURS:
            yield found


def files(described: Any) -> dict[str, str]:
    """Path -> hash of its content, for every value that names a file or a folder which is there.

    So is what stands behind the last @ of a value: `my_net@weights.pt`.
    """
    found: dict[str, str] = {}
    for word in strings(described):
        for name in {word, word.rpartition("@")[2]}:
            place = path_of(name)
            if place is not None:
                found[name] = store.fingerprint(place)
    return dict(sorted(found.items()))


def path_of(word: str) -> Path | None:
    """The file or folder that a value names, if there is one; the working directory itself is none."""
    try:
        place = Path(word).expanduser()
        known = bool(word.strip()) and place.exists() and place.resolve() not in Path.cwd().resolve().parents
        return place if known and place.resolve() != Path.cwd().resolve() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, no such home
        return None
