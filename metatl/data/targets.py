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

    kind: `classes`, one of several; `labels`, several at once, each yes or no; `real`, real values. names: of
    the outputs: the classes, the labels, the columns. values: [n] int64, [n, k] bool, or [n, d] float32.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Tensor

    def strata(self) -> NDArray[np.int64]:
        """[n]: within which of these rows are drawn evenly: the classes, or all rows alike."""
        if self.kind == "classes":
            return self.values.numpy()
        return np.zeros(len(self.values), np.int64)
