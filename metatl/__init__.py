"""metatl: learn what to carry over from old tasks to new ones, and measure whether it helps.

A finished run: `metatl.load("runs/gtl/...").adapt(x, y).predict(new_x)`. Any module of one's own:
`net = metatl.Net.of(module)`, then `metatl.Descent(steps=5)(net, net.start(), metatl.Batch(x, y))`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before torch is loaded: by default a thread that waits for others spins for milliseconds, and on a machine
# with other work it spins in place of the one that it waits for (10 s a step where it can be 1.2 s).
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

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
from metatl.train import train
from metatl.types import Batch, Episode, MetatlError, Transfer

if TYPE_CHECKING:
    from metatl.personalise import Personal, Personaliser, apply_delta, load
    from metatl.transferring.classifier import Classifier
    from metatl.transferring.transfer import Transferring, transfer

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
    "Report",
    "SupportGuide",
    "Tasks",
    "Transfer",
    "Transferring",
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


def __getattr__(name: str) -> Any:
    # These read configs and draw pictures, which takes longer to import than torch itself.
    if name in ("Personal", "Personaliser", "apply_delta", "load"):
        from metatl import personalise

        return getattr(personalise, name)
    if name in ("Transferring", "transfer"):
        from metatl.transferring import transfer

        return getattr(transfer, name)
    if name == "Classifier":
        from metatl.transferring import classifier

        return classifier.Classifier
    raise AttributeError(f"module 'metatl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
