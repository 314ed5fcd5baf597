"""What of a run's values is somebody's own: modules, whose source is hashed, and files that values name."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from metatl.importing import is_outside, is_own
from metatl.lab import store

_OURS = ("metatl", "torch")
HERE = Path(__file__).resolve().parents[2]
PLACES = {"metatl.learners.scout.Scout": ("displacements",)}
"""Fields that say where something lies, by class: no number depends on them, nor on what lies there."""


def sources(described: Any) -> dict[str, str]:
    """Module -> hash of its source, for every class or function of somebody's that the values name.

    Of a user's own modules also those of his that they import, wherever in them (a model's layers in another
    file); of an installed package's classes the module that defines them. None of torch's and metatl's.
    """
    waiting = [found for word in store.strings(described) for found in _module_of(word)]
    told: dict[str, str] = {}
    while waiting:
        name, file = waiting.pop()
        if name not in told:
            told[name] = store.fingerprint(Path(file))
            waiting += _imported(name, file) if is_own(file) else []
    return dict(sorted(told.items()))


def _module_of(word: str) -> Iterator[tuple[str, str]]:
    """Name and file of the loaded module that a dotted path (a.b.Name, or a.b:name) leads into."""
    parts = word.replace(":", ".").split(".")
    if parts[0] in _OURS or not all(part.isidentifier() for part in parts):
        return
    for end in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:end]))
        if module is not None:
            file = getattr(module, "__file__", None)
            if hasattr(module, parts[end]) and file and Path(file).is_file():
                yield module.__name__, file
            return


def _imported(name: str, file: str) -> Iterator[tuple[str, str]]:
    """Name and file of the own modules that a module's source imports, loaded or not."""
    package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
    try:
        parsed = ast.parse(store.read_text(Path(file), "module"))
    except (SyntaxError, ValueError):  # which importing it will say
        return
    for node in ast.walk(parsed):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        for found in names:
            origin = _own_origin(found)
            if origin is not None:
                yield found, origin


def _own_origin(name: str) -> str | None:
    """The file of a user's own module; nothing of an installed package is imported to find that out."""
    root = name.partition(".")[0]
    if root in _OURS or root in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(root)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
        if not any(place and is_outside(place) for place in places):
            return None
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    origin = None if spec is None else spec.origin
    return origin if is_own(origin) and Path(str(origin)).is_file() else None


def files(described: Any, kept: Mapping[str, str] | None = None) -> dict[str, str]:
    """Path -> hash of its content, for every value that names a file or a folder which is there.

    So is what stands after the last @ of a value: `my_net@weights.pt`. None of PLACES, which fill while a run
    learns. kept: copies of those that have gone.
    """
    found: dict[str, str] = {}
    for name in store.words(each(described, placeless)):
        place, copy = store.path_of(name), (kept or {}).get(name)
        if place is not None or copy is not None:
            found[name] = store.fingerprint(place or Path(str(copy)))
    return found


def each(described: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    """A description with every mapping in it changed, inner ones first."""
    if isinstance(described, list):
        return [each(item, change) for item in cast(list[Any], described)]
    if not isinstance(described, Mapping):
        return described
    return change({key: each(item, change) for key, item in cast(Mapping[str, Any], described).items()})


def placeless(value: dict[str, Any]) -> dict[str, Any]:
    """An object's description without the fields of PLACES."""
    given, places = value.get("init_args"), PLACES.get(str(value.get("class_path")), ())
    if places and isinstance(given, dict):
        value["init_args"] = {k: v for k, v in cast(dict[str, Any], given).items() if k not in places}
    return value
