"""What the core's values are when nobody says: a default that moves changes every run that left it out.

`python tests/laws/test_defaults.py` writes the list anew, for a default that is meant to move.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import metatl

WRITTEN = Path(__file__).resolve().parent.parent / "golden" / "defaults.json"
LOOSE = {"ContinuedBoosting", "NearestNeighbours", "TreeTransfer"}
"""Estimators in the manner of scikit-learn, which a fit fills."""
ROOMS = ("adapt", "aggregates", "engines", "evaluation", "guides", "heads", "learners", "objectives", "rules")


def said(value: Any) -> str:
    """A value as text that no run changes: no addresses."""
    if inspect.isroutine(value) or isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if is_dataclass(value):
        of = ", ".join(f"{f.name}={said(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__name__}({of})"
    if isinstance(value, tuple | list):
        return f"({', '.join(said(one) for one in value)})"
    return repr(value)


def modules() -> list[str]:
    """Dotted names of the core's modules."""
    found = []
    for room in ROOMS:
        package = importlib.import_module(f"metatl.{room}")
        found += [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return sorted(
        [*found, *(f"metatl.{room}" for room in ROOMS), "metatl.net", "metatl.norm", "metatl.train"]
    )


def defaults() -> dict[str, str]:
    """`module.Class.field` and `module.function.argument` to the value that they have by default."""
    found: dict[str, str] = {}
    for name in modules():
        for thing in vars(importlib.import_module(name)).values():
            if getattr(thing, "__module__", None) != name or getattr(thing, "__name__", "_")[0] == "_":
                continue
            if inspect.isclass(thing) and is_dataclass(thing):
                for field in fields(thing):
                    value = field.default_factory() if field.default_factory is not MISSING else field.default
                    if value is not MISSING:
                        found[f"{name}.{thing.__name__}.{field.name}"] = said(value)
            elif inspect.isfunction(thing):
                for argument in inspect.signature(thing).parameters.values():
                    if argument.default is not argument.empty:
                        found[f"{name}.{thing.__name__}.{argument.name}"] = said(argument.default)
    return dict(sorted(found.items()))


def test_defaults_are_those_on_record() -> None:
    ours, theirs = defaults(), json.loads(WRITTEN.read_text(encoding="utf-8"))
    moved = {n: (theirs.get(n), ours.get(n)) for n in ours | theirs if ours.get(n) != theirs.get(n)}
    assert not moved, (
        f"was, is: {moved}; python tests/laws/{Path(__file__).name} writes what is meant to move"
    )


def test_values_are_frozen() -> None:
    """A dataclass of the core that can be changed is one that says so here."""
    every = {thing for name in modules() for thing in vars(importlib.import_module(name)).values()
             if inspect.isclass(thing) and is_dataclass(thing) and thing.__module__ == name}  # fmt: skip
    loose = {thing.__name__ for thing in every if not thing.__dataclass_params__.frozen}  # pyright: ignore[reportAttributeAccessIssue]
    assert loose == LOOSE


if __name__ == "__main__":
    WRITTEN.write_text(json.dumps(defaults(), indent=0) + "\n", encoding="utf-8")
    print(f"{metatl.__name__}: {WRITTEN}")
