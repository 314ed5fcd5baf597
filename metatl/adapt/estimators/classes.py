"""Classes of estimators by their dotted paths."""

from __future__ import annotations

import inspect
from importlib.util import find_spec

from metatl.importing import check, found
from metatl.types import MetatlError

_EXTRAS = {"sklearn": "tables"}


def missing_extra(path: str) -> str | None:
    """The extra that a path's package comes with, if that is not installed; MetatlError as imports."""
    package = path.partition(".")[0]
    check(path if "." in path else f"metatl.adapt.{path}")
    return _EXTRAS.get(package) if package in _EXTRAS and find_spec(package) is None else None


def class_of(path: str) -> type:
    """The class of a dotted path; nothing that is no class is ever called."""
    try:
        made = found(path if "." in path else f"metatl.adapt.{path}")
    except (ImportError, AttributeError, ValueError) as error:
        how = (
            f"pip install metatl[{extra}]"
            if (extra := missing_extra(path))
            else "install it, or name another"
        )
        raise MetatlError(f"Estimator: {path!r} cannot be imported ({error}); {how}") from error
    if not inspect.isclass(made):
        raise MetatlError(f"Estimator: {path!r} is no class; name one with fit and predict")
    return made
