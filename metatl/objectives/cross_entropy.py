"""Cross-entropy of classes: smoothed, weighted by class, against soft labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class CrossEntropy(Term):
    """weight * sum over rows of -sum_c w_c q_c log softmax(output)_c, over the sum of the rows' w_y.

    q = (1 - smoothing) p + smoothing / classes, where p is one-hot, or the row itself for soft labels (y real
    [n, classes], probabilities; the mean is then over rows alone). With a label a pixel, pixels count as
    rows. As torch's cross_entropy. Source of smoothing: Szegedy et al. 2016, arXiv 1512.00567.

    Args:
        weight: factor.
        smoothing: share of the target that is spread over all classes, 0 to 1.
        classes: w, a number for each class; `balanced` gives n / (classes there * count_c), counted over the
            rows at hand as scikit-learn does; 1 for None.
    """

    weight: float = 1.0
    smoothing: float = 0.0
    classes: tuple[float, ...] | Literal["balanced"] | None = None

    def __post_init__(self) -> None:
        """Raise MetatlError for shares and weights that mean nothing."""
        if not 0.0 <= self.smoothing <= 1.0:
            raise MetatlError(f"CrossEntropy: smoothing is {self.smoothing}; give a value from 0 to 1")
        losses.check_factors(self, "classes", () if isinstance(self.classes, str) else self.classes or ())

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for targets that are no classes, and other numbers of weights."""
        y, rows = batch.y, batch.weight
        losses.needs(self, y, "classes", "real")
        soft = y.is_floating_point()
        axis = 1 if soft else losses.class_axis(output, y)
        target = losses.paired(output, y) if soft else losses.is_class(output, y).to(output.dtype)
        log_p, target = output.log_softmax(axis).movedim(axis, -1), target.movedim(axis, -1)
        smooth = (1.0 - self.smoothing) * target + self.smoothing / target.shape[-1]
        scale = self._scale(target, rows)
        value = mean_over_rows(-(scale * smooth * log_p).sum(-1, keepdim=True), rows)
        if not soft and self.classes is not None:
            value = value / mean_over_rows((scale * target).sum(-1, keepdim=True), rows)
        return self.weight * value

    def _scale(self, target: Tensor, rows: Tensor | None) -> Tensor:
        """w [classes], for the shares of classes of every row [n, ..., classes]."""
        classes = target.shape[-1]
        if self.classes is None:
            return target.new_ones(())
        if not isinstance(self.classes, str):
            return losses.factors(self, "classes", self.classes, target, classes)
        share = target.flatten(1, -2).mean(1) if target.dim() > 2 else target
        count = (share if rows is None else share * rows.unsqueeze(-1)).sum(0)
        there = count > 0
        safe = torch.where(there, count, torch.ones_like(count))
        return torch.where(there, count.sum() / (there.sum() * safe), torch.zeros_like(count))
