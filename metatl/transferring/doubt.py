"""How unsure a model is of a row, and the rows that a person should look at or label next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from metatl.data.targets import Kind
from metatl.types import MetatlError

NO_DOUBT = "gives values and not how far they may be off"


class Doubted(Protocol):
    """A row with its doubt."""

    @property
    def unsure(self) -> float:
        """Larger the less is known."""
        ...


D = TypeVar("D", bound=Doubted)


def doubts(kind: Kind, outputs: Tensor, spread: Tensor | None = None) -> Tensor:
    """What is larger the less a model knows of a row, [n].

    Classes: 1 less the probability of the class that is named, which is the chance of a mistake where
    probabilities hold; several labels: the largest such chance of a label; real values: the mean over values
    of log variance, and NaN where no spread is said. outputs: [n, outputs]; spread: variances alike.
    """
    if kind == "classes":
        return 1 - outputs.softmax(-1).amax(-1)
    if kind == "labels":
        return 0.5 - (outputs.sigmoid() - 0.5).abs().amin(-1)
    if spread is None:
        return torch.full((len(outputs),), math.nan)
    return spread.double().clamp_min(1e-300).log().mean(-1)


def most(found: Sequence[D], count: int) -> list[D]:
    """The rows that are least known, these first; rows without a prediction are the first of all.

    Raises MetatlError where a model says no doubt.
    """
    if any(math.isnan(one.unsure) for one in found):
        raise MetatlError(
            f"this model {NO_DOUBT}; save a row that does (metatl transfer ... --methods bayes --save bayes)"
        )
    return sorted(found, key=lambda one: -one.unsure)[:count]


def share_of(found: Sequence[D], share: float) -> list[D]:
    """This share of the rows, the least known, at least one; MetatlError for a share that is none."""
    check_share(share)
    return most(found, max(1, round(share * len(found))))


def check_share(share: float | None) -> None:
    """Raise MetatlError for a share of rows that is none, before anything is predicted."""
    if share is not None and not 0 < share <= 1:
        raise MetatlError(f"--unsure is {share:g}; give the share of rows to look at, 0.2 say")
