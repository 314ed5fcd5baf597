"""Focal loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class Focal(Term):
    """weight * mean over rows of -alpha (1 - p)^gamma log p, p the probability of what holds.

    Of class labels p = softmax(output)_y, one a row or a pixel; of several labels sigmoid(output) where a
    label holds and 1 - sigmoid(output) where not, mean over labels. gamma 0 is the (binary) cross-entropy.
    The mean is over all rows, where the paper divides by the number of objects. Source: Lin, Goyal, Girshick,
    He & Dollár 2017, arXiv 1708.02002.

    Args:
        weight: factor.
        gamma: how little rows that are right already count.
        alpha: a factor for each class; of several labels for (no, yes); 1 where left out.
    """

    weight: float = 1.0
    gamma: float = 2.0
    alpha: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise MetatlError for values that mean nothing."""
        if not 0.0 <= self.gamma < math.inf:
            raise MetatlError(f"Focal: gamma is {self.gamma}; give a finite number, 0 or more")
        losses.check_factors(self, "alpha", self.alpha)

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for real targets, and other numbers of factors."""
        losses.needs(self, batch.y, "classes", "labels")
        several = batch.y.dtype == torch.bool
        log_p, log_rest = (_of_labels if several else _of_classes)(output, batch.y)
        loss = -(self.gamma * log_rest).exp() * log_p
        if self.alpha:
            loss = loss * self._alpha(output, batch.y)
        return self.weight * mean_over_rows(loss, batch.weight)

    def _alpha(self, output: Tensor, y: Tensor) -> Tensor:
        """The factor of every row (and label), in the shape of the loss."""
        several = y.dtype == torch.bool
        classes = 2 if several else output.shape[losses.class_axis(output, y)]
        alpha = losses.factors(self, "alpha", self.alpha, output, classes)
        if several:
            return torch.where(losses.paired(output, y), alpha[1], alpha[0])
        axis = losses.class_axis(output, y)
        shape = [-1 if place == axis else 1 for place in range(output.dim())]
        return (losses.is_class(output, y) * alpha.view(shape)).sum(axis, keepdim=True)


def _of_labels(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """log p and log(1 - p) of what holds, [n, labels]."""
    sure = torch.where(losses.paired(output, y), output, -output)
    return -F.softplus(-sure), -F.softplus(sure)


def _of_classes(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The same of class labels, [n, 1, ...]; 1 - p summed over the other classes, so that it is never 0."""
    axis = losses.class_axis(output, y)
    log_p = output.log_softmax(axis)
    others = log_p.masked_fill(losses.is_class(output, y), -math.inf)
    return losses.of_label(log_p, y), others.logsumexp(axis, keepdim=True)
