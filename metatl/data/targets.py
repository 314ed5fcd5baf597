"""What is to be predicted of every row: a class, several labels at once, or real values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Kind = Literal["classes", "labels", "real"]


@dataclass(frozen=True)
class Targets:
    """The targets of n rows.

    kind: `classes` (one of several each), `labels` (any number of several), `real` values. names: of the
    classes, the labels, or the values, in order. values: [n] int64, [n, k] bool, or [n, d] float32.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Tensor

    @property
    def outputs(self) -> int:
        """Output units that a net needs for them."""
        return len(self.names)

    def strata(self) -> NDArray[np.int64]:
        """[n]: within which of these rows are drawn evenly: the classes, or all rows alike."""
        if self.kind == "classes":
            return self.values.numpy()
        return np.zeros(len(self.values), np.int64)
