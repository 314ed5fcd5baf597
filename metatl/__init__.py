"""metatl: learn what to carry over from old tasks to new ones, and measure whether it helps.

A finished run: `metatl.load("runs/gtl/...").adapt(x, y).predict(new_x)`. Any module of your own:
`net = metatl.Net.of(module)`, then `metatl.Descent(steps=5)(net, net.start(), metatl.Batch(x, y))`.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# Before torch is loaded: by default a thread that waits for others spins for milliseconds, and on a machine
# with other work it spins in place of the one that it waits for (10 s a step where it can be 1.2 s).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from metatl import engines, guides, heads, learners, models, objectives, rules, tree
    from metatl.adapt import (
        Adaptation,
        ClosedForm,
        Descent,
        Estimator,
        InContext,
        QueryLoss,
        SupportGuide,
        displacement,
        predict,
    )
    from metatl.data import Bank, ClassData, Tasks
    from metatl.evaluation.evaluate import Evaluation, Report, evaluate
    from metatl.net import Net
    from metatl.personalise import Personal, Personaliser, apply_delta, load
    from metatl.train import train
    from metatl.transferring.classifier import Classifier
    from metatl.transferring.opened import Words
    from metatl.transferring.regressor import Regressor
    from metatl.transferring.transfer import Transferring, transfer
    from metatl.types import Batch, Episode, MetatlError, Transfer

__version__ = "0.1.0"

__all__ = [
    "Adaptation",
    "Bank",
    "Batch",
    "ClassData",
    "Classifier",
    "ClosedForm",
    "Descent",
    "Episode",
    "Estimator",
    "Evaluation",
    "InContext",
    "MetatlError",
    "Net",
    "Personal",
    "Personaliser",
    "QueryLoss",
    "Regressor",
    "Report",
    "SupportGuide",
    "Tasks",
    "Transfer",
    "Transferring",
    "Words",
    "apply_delta",
    "displacement",
    "engines",
    "evaluate",
    "guides",
    "heads",
    "learners",
    "load",
    "models",
    "objectives",
    "predict",
    "rules",
    "train",
    "transfer",
    "tree",
]


_ROOMS = ("engines", "guides", "heads", "learners", "models", "objectives", "rules", "tree")
_FOUND_IN = {
    "metatl.adapt": (
        *("Adaptation", "ClosedForm", "Descent", "Estimator", "InContext", "QueryLoss", "SupportGuide"),
        *("displacement", "predict"),
    ),
    "metatl.data": ("Bank", "ClassData", "Tasks"),
    "metatl.evaluation.evaluate": ("Evaluation", "Report", "evaluate"),
    "metatl.net": ("Net",),
    "metatl.personalise": ("Personal", "Personaliser", "apply_delta", "load"),
    "metatl.train": ("train",),
    "metatl.transferring.classifier": ("Classifier",),
    "metatl.transferring.regressor": ("Regressor",),
    "metatl.transferring.opened": ("Words",),
    "metatl.transferring.transfer": ("Transferring", "transfer"),
    "metatl.types": ("Batch", "Episode", "MetatlError", "Transfer"),
}
"""Where each name lies: a module is imported when one of its names is asked for, torch with the first."""


def _imported(module: str) -> ModuleType:
    """The module. Meanwhile no garbage is looked for: importing makes none, and a look takes 80 ms."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        if collects:
            gc.enable()


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return _imported(f"metatl.{name}")
    where = next((module for module, names in _FOUND_IN.items() if name in names), None)
    if where is None:
        raise AttributeError(f"module 'metatl' has no attribute {name!r}")
    found = getattr(_imported(where), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """`metatl.train` is the function, also where the module of its name was imported first."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value.train if name == "train" and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Package
