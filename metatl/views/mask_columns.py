"""Rows of a table without some of their values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.types import Batch, MetatlError
from metatl.views.view import View, draws


@dataclass(frozen=True)
class MaskColumns(View):
    """Each value of a row [n, columns] replaced, or not.

    Args:
        probability: that a value is.
        value: what stands in its place; 0 is the mean of a column that was scaled.
    """

    probability: float = 0.1
    value: float = 0.0

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The rows; targets stay. Raises MetatlError where rows are no vectors of real values."""
        x = batch.x
        if not isinstance(x, Tensor) or x.dim() != 2 or not x.is_floating_point():
            raise MetatlError("MaskColumns is a view of the rows of a table, real values [n, columns]")
        return batch._replace(x=torch.where(draws(key, x, *x.shape) < self.probability, self.value, x))
