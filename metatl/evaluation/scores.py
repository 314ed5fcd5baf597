"""The scores of data and of reports; what scores there are says `metatl.adapt.scores`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metatl.adapt.scores import SCORES, Better, Score, default, default_for, named
from metatl.data import targets
from metatl.data.source import Data, Kind
from metatl.objectives.losses import target_of

__all__ = [
    "SCORES",
    "Better",
    "Score",
    "default",
    "default_for",
    "named",
    "of_data",
    "of_protocol",
    "target_of",
]


def of_data(data: Data, name: str | None = None) -> Score:
    """The score of this name for a data's tasks; without one accuracy, loss (an MSE), averaged precision.

    Raises MetatlError for a score of other targets.
    """
    kinds: dict[Kind, targets.Kind] = {
        "classification": "classes",
        "regression": "real",
        "multilabel": "labels",
    }
    if name is None:
        return named("loss") if data.kind == "regression" else default_for(kinds[data.kind])
    score = named(name)
    score.check(kinds[data.kind])
    return score


def of_protocol(protocol: Mapping[str, Any]) -> Score:
    """The score that a report's protocol names."""
    return named(str(protocol.get("score", "accuracy")))
