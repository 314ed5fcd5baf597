"""Which dotted paths may be imported: the one place that decides, on the string, before anything is run.

    ours        the classes that a family's front door shows (metatl.models.Conv4): always
    nobody's    the standard library, torch but for torch.nn, installers, and whatever else of metatl: never
    others'     the user's own modules and installed packages: from what the user names himself (a config, a
                word of the command, Python), and from received files where he trusts them

So `class_path: os.system` is refused wherever it stands, and a run directory that somebody sent runs nothing.
What a path leads to must be defined where paths may lead, too: `my_nets.os.system` is still os.system.
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from metatl.peers import imported
from metatl.types import MetatlError

FAMILIES = (
    *("adapt", "aggregates", "data", "engines", "guides", "heads"),
    *("alignments", "density_ratio", "learners", "models", "objectives", "rules", "transforms", "views"),
    "features",
)
"""The rooms of metatl whose classes a file may name."""
_NEVER = sys.stdlib_module_names | {"builtins", "jsonargparse", "pip", "pkg_resources", "setuptools"}
_HERE = Path(__file__).resolve().parent
_trust: ContextVar[bool | None] = ContextVar("_trust", default=None)
"""None: what is read was named by the user; else it was received, and is trusted or not."""
_commanded: ContextVar[bool] = ContextVar("_commanded", default=False)


@contextmanager
def received(trust: bool) -> Generator[None]:
    """While files are read that may be somebody else's."""
    before = _trust.set(trust)
    try:
        yield
    finally:
        _trust.reset(before)


@contextmanager
def command() -> Generator[None]:
    """While a command runs: own modules are looked for in the working directory too.

    And none of them counts as imported by the user already.
    """
    before = _commanded.set(True)
    try:
        yield
    finally:
        _commanded.reset(before)


def trusted() -> bool:
    """Whether the user has said that received files may run what they name."""
    return _trust.get() is True


def refusal(path: str) -> str | None:
    """Why a dotted path may not be imported; None where it may. Nothing is imported to find out."""
    root, module = path.partition(".")[0], path.rpartition(".")[0]
    if root == "metatl":
        return None if _is_member(path) else f"{path} is no member of metatl's families; it is not imported"
    if root in _NEVER or (root == "torch" and not path.startswith("torch.nn.")):
        return f"{path} is neither metatl's nor a class of one's own modules; it is not imported"
    if _trust.get() is False and (_commanded.get() or not loaded(path)):
        return (
            f"{path} wants the module {module}, code that received files do not run by themselves; if you "
            "trust it, say so: --trust (in Python trust=True)"
        )
    return None


def found(path: str) -> Any:
    """What a dotted path leads to; raises MetatlError where it may not be imported, else as imports do."""
    check(path)
    if _commanded.get() and path.partition(".")[0] not in ("metatl", "torch"):
        _see_working_directory()
    module, _, name = path.rpartition(".")
    try:
        there = getattr(imported(module), name)
    except ModuleNotFoundError as error:
        if error.name != module or "." not in module:
            raise
        there = getattr(found(module), name)  # a class inside a class
    if inspect.isclass(there) or inspect.isroutine(there):
        check(dotted(there))
    return there


def check(path: str) -> None:
    """Raise MetatlError where the path may not be imported."""
    why = refusal(path)
    if why is not None:
        raise MetatlError(why)


def dotted(made: Any) -> str:
    """Where a class or function is defined: my_package.nets.MyNet."""
    return f"{made.__module__}.{made.__qualname__}"


def loaded(path: str) -> bool:
    """Whether the path leads into a module of the user's own that is imported already."""
    module = sys.modules.get(path.rpartition(".")[0])
    return is_own(getattr(module, "__file__", None))


def _is_member(path: str) -> bool:
    """Whether it leads to a class that the front door of the class's own family shows.

    Of modules only metatl's own are imported to find out: the one behind the name that a front door shows.
    """
    module, _, name = path.rpartition(".")
    family = module.removeprefix("metatl.")
    shown = _shown(family.partition(".")[0], name)
    elsewhere = vars(sys.modules[module]) if module in sys.modules else {}
    made = shown if family in FAMILIES else elsewhere.get(name)
    if not inspect.isclass(made):
        return False
    root, family, *_ = [*made.__module__.split("."), ""]
    return root == "metatl" and _shown(family, name) is made


def _shown(family: str, name: str) -> Any:
    """What a family's front door shows by this name."""
    if family not in FAMILIES:
        return None
    door = import_module(f"metatl.{family}")
    return getattr(door, name) if name in door.__all__ else None


@cache
def _installed_in() -> tuple[Path, ...]:
    """Where packages and the standard library lie: what is imported from there is nobody's own."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(kind)).resolve() for kind in kinds})


def is_own(file: str | None) -> bool:
    """Whether a source file is a user's own: neither metatl's, nor installed, nor of the standard library."""
    return (
        bool(file) and not str(file).startswith("<") and str(file).endswith(".py") and is_outside(str(file))
    )


def is_outside(file: str) -> bool:
    """Whether a file lies neither in metatl nor among what is installed."""
    place = Path(file).resolve()
    return not any(place.is_relative_to(folder) for folder in (_HERE, *_installed_in()))


def _see_working_directory() -> None:
    """So that a config may name classes of modules that lie there, as with `python -m`."""
    with suppress(OSError):
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)  # last: a file here must not stand in front of an installed module
