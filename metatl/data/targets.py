"""What is to be predicted of every row: a class, several labels at once, or real values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Kind = Literal["classes", "labels", "real"]
"""What targets are: one class of several a row, several labels at once, or real values."""
SAID: Mapping[Kind, str] = {"classes": "class labels", "labels": "several labels", "real": "real values"}
"""How messages name a kind."""
MOST = 3e38
"""No real value is beyond it: what is computed of targets is float32."""
MISSING = -1
"""The label of a row without one, where rows have several targets; real values are NaN there."""


@dataclass(frozen=True)
class Targets:
    """The targets of n rows.

    kind: `classes` (one of several each), `labels` (any number of several), `real` values. names: of the
    classes, the labels, or the values, in order: of rows whose targets nobody knows, none. values: [n] int64,
    [n, k] bool, or [n, d] float64. clusters: whether the classes are clusters of the rows, which no label
    made.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Tensor
    clusters: bool = False

    @property
    def outputs(self) -> int:
        """Output units that a net needs for them."""
        return len(self.names)

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self.names)

    @property
    def digits(self) -> list[Any]:
        """The values as lists that tell data apart: those of float32 where it keeps all that varies."""
        if self.kind != "real":
            return self.values.tolist()
        short, spread = self.values.float(), self.values.std(0, correction=0)
        same = (short - self.values).abs() <= 1e-6 * spread
        return (short if bool(same.all()) else self.values).tolist()

    def strata(self) -> NDArray[np.int64]:
        """[n]: within which of these rows are drawn evenly: the classes, or all rows alike."""
        if self.kind == "classes":
            return self.values.numpy()
        return np.zeros(len(self.values), np.int64)


def no_targets(rows: int) -> Targets:
    """The targets of rows without labels."""
    return Targets("real", (), torch.zeros(rows, 0, dtype=torch.float64))
