"""What an estimate of transferability is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metatl.fields import Checked
from metatl.types import MetatlError

Values = NDArray[np.float64]
Labels = NDArray[Any]


@dataclass(frozen=True)
class Pair:
    """What is known of a source and a target task before anything is adapted.

    features [n, d]: what the source's body gives for the target's labelled rows; y [n]: their targets, int64
    classes or real values; said [n, z]: the source's own classes' probabilities on them, None where the
    source has no classes; fishers: of the source and the target task (`filter_fisher`), None where
    there are none.
    """

    features: Values
    y: Labels
    said: Values | None = None
    fishers: tuple[Values, Values] | None = None

    @property
    def classes(self) -> bool:
        """Whether the target's values are classes."""
        return self.y.dtype.kind in "iu"


class TransferabilityEstimate(Checked, ABC):
    """One number for a pair of tasks: the higher, the more the source should help the target.

    Numbers of different targets are not on one scale: compare sources of one target.
    """

    name: ClassVar[str]
    """As tables have it."""

    @abstractmethod
    def fits(self, pair: Pair) -> bool:
        """Whether the pair has what it reads."""

    @abstractmethod
    def __call__(self, pair: Pair) -> float:
        """The number; NaN where it has no value on these rows."""


def checked(features: Any, y: Any) -> tuple[Values, Labels]:
    """Features [n, d] in float64, targets [n]; MetatlError for other shapes and what is not finite."""
    f, t = np.asarray(features, dtype=np.float64), np.asarray(y)
    if f.ndim != 2 or t.ndim != 1 or len(f) != len(t) or not len(f):
        raise MetatlError(
            f"estimates: features {list(f.shape)} and targets {list(t.shape)} do not pair; give [n, d], [n]"
        )
    if not np.isfinite(f).all() or (t.dtype.kind == "f" and not np.isfinite(t).all()):
        raise MetatlError("estimates: features or targets are not finite; leave those rows out")
    return f, t


def one_hot(y: Labels) -> Values:
    """[n, classes that are there], a column for each."""
    return (np.unique(y)[None, :] == y[:, None]).astype(np.float64)
