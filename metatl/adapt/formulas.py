"""The formulas of scores: of every row, or of a whole set of rows.

Rows: output [n, ...], y [n, ...] -> [n]. Sets: float64 arrays, NaN where nothing is defined; a class or label
that has no value (none of its rows there, or all of them) is left out of a mean over classes or labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.predictive import Predictive

Values = NDArray[np.float64]
BINS = 15
LEVEL = 0.95


def _of_rows(values: Tensor) -> Tensor:
    """The mean of each row."""
    return values.flatten(1).mean(1)


def right(output: Tensor, y: Tensor) -> Tensor:
    """[n]: 1 where the largest of output [n, classes] is that of label y [n], else 0; of pixels a share."""
    named = output.argmax(losses.class_axis(output, y))
    return _of_rows((named == y).to(output.dtype).unsqueeze(-1))


def log_loss(output: Tensor, y: Tensor) -> Tensor:
    """-log of the probability of the label (nats) [n], y [n]; of several labels y [n, k] their mean."""
    loss = losses.binary_cross_entropy if y.dtype == torch.bool else losses.cross_entropy
    return _of_rows(loss(output, y))


def squared(output: Tensor, y: Tensor) -> Tensor:
    """(output - y)^2 [n], mean over outputs [n, outputs]."""
    return _of_rows(losses.squared_error(output, y))


def absolute(output: Tensor, y: Tensor) -> Tensor:
    """|output - y| [n], mean over outputs [n, outputs]."""
    return _of_rows((output - losses.paired(output, y)).abs())


def negative_log_likelihood(output: Predictive, y: Tensor) -> Tensor:
    """-log N(y; mean, variance) in nats [n], mean over outputs [n, outputs]."""
    return _of_rows(output.nll(y))


def coverage(output: Predictive, y: Tensor) -> Tensor:
    """Whether y [n, outputs] lies in its 95 % interval, mean over outputs: best near 95 %."""
    low, high = output.interval(LEVEL)
    y = losses.paired(low, y)
    return _of_rows(((y >= low) & (y <= high)).to(low.dtype))


def interval_score(output: Predictive, y: Tensor) -> Tensor:
    """Width of the 95 % interval, and 2 / 0.05 times how far y [n, d] lies outside, mean over d: [n].

    Least where the ends are the quantiles (Gneiting & Raftery 2007).
    """
    low, high = output.interval(LEVEL)
    y = losses.paired(low, y)
    outside = (low - y).clamp_min(0.0) + (y - high).clamp_min(0.0)
    return _of_rows(high - low + 2 / (1 - LEVEL) * outside)


@dataclass(frozen=True)
class ScoredRows:
    """Outputs [n, k] beside y [n] (a pixel's class is a row) as arrays, each made once for all scores."""

    output: Tensor
    y: Tensor

    @property
    def of_labels(self) -> bool:
        """Whether each row has several labels, not one class."""
        return self.y.dtype == torch.bool

    @cached_property
    def _pair(self) -> tuple[Values, NDArray[np.bool_]]:
        output, y = self.output, self.y
        if self.of_labels:
            return _array(output), np.asarray(losses.paired(output, y).cpu())
        axis = losses.class_axis(output, y)
        if y.dim() == 1:
            return _array(output), np.asarray(y.cpu())[:, None] == np.arange(output.shape[1])
        hot = losses.is_class(output, y)
        flat, of = (leaf.movedim(axis, -1).flatten(0, -2) for leaf in (output, hot))
        return _array(flat), np.asarray(of.cpu())

    @property
    def member(self) -> NDArray[np.bool_]:
        """Whether each row is of each class or label [n, k]."""
        return self._pair[1]

    @cached_property
    def chosen(self) -> NDArray[np.bool_]:
        """What is predicted [n, k]: the largest output, or every one above 0."""
        values = self._pair[0]
        return values > 0 if self.of_labels else values.argmax(1)[:, None] == np.arange(values.shape[1])

    @cached_property
    def ordered(self) -> Values:
        """What orders rows [n, k]: probabilities of classes; of several labels the outputs themselves."""
        values = self._pair[0]
        return values if self.of_labels else _array(torch.from_numpy(values).softmax(1))


def _array(values: Tensor) -> Values:
    return values.detach().cpu().to(torch.float64).numpy()


def _upto(values: Values, at: Values, side: Literal["left", "right"] = "right") -> NDArray[np.int64]:
    """How many of the values are at most as large as each of these; `left`: smaller."""
    return np.searchsorted(np.sort(values), at, side)


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def balanced_accuracy(rows: ScoredRows) -> float:
    """Mean over the classes that are there of the share of their rows that are named rightly."""
    said, member = rows.chosen, rows.member
    count = member.sum(0)
    return _mean(((said & member).sum(0) / np.maximum(count, 1))[count > 0])


def macro_f1(rows: ScoredRows) -> float:
    """Mean over classes, or labels (held where the output is above 0), of 2 TP / (2 TP + FP + FN).

    Over those that are there or predicted.
    """
    said, member = rows.chosen, rows.member
    size = said.sum(0) + member.sum(0)
    return _mean((2 * (said & member).sum(0) / np.maximum(size, 1))[size > 0])


def auroc(rows: ScoredRows) -> float:
    """Mean over classes (one against the rest, by probability) or labels of P(o+ > o-) + P(o+ = o-) / 2.

    Mann & Whitney's U over the pairs of a row that is one and a row that is not.
    """
    columns = zip(rows.ordered.T, rows.member.T, strict=True)
    pairs = [(at[held], at[~held]) for at, held in columns if 0 < held.sum() < len(held)]
    return _mean(
        [
            (_upto(rest, ones) + _upto(rest, ones, "left")).sum() / (2 * ones.size * rest.size)
            for ones, rest in pairs
        ]
    )


def macro_average_precision(rows: ScoredRows) -> float:
    """Mean over labels (or classes, by probability) of sum_n (R_n - R_n-1) P_n over their thresholds.

    That is the mean over the rows that are one of the precision at their own output.
    """
    columns = zip(-rows.ordered.T, rows.member.T, strict=True)
    return _mean(
        [(_upto(at[held], at[held]) / _upto(at, at[held])).mean() for at, held in columns if held.any()]
    )


def calibration_error(rows: ScoredRows) -> float:
    """ECE = sum over 15 bins of |B| / n |share right in B - mean probability in B|.

    A row lies in bin m where the probability of the class that is named lies in ((m - 1) / 15, m / 15].
    Source: Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, arXiv 1706.04599.
    """
    shares = rows.ordered
    named, at = shares.argmax(1), np.arange(len(shares))
    sure = shares[at, named]
    places = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gap = np.bincount(places, rows.member[at, named] - sure, BINS)
    return float(np.abs(gap).sum() / len(sure)) if len(sure) else float("nan")


def r2(rows: ScoredRows) -> float:
    """1 - sum (y - output)^2 / sum (y - mean y)^2, mean over the outputs whose targets vary."""
    found, true = _array(rows.output), _array(losses.paired(rows.output, rows.y))
    spread = ((true - true.mean(0)) ** 2).sum(0) if len(true) else np.zeros(found.shape[1:])
    left = ((true - found) ** 2).sum(0)
    return _mean((1 - left / np.where(spread > 0, spread, 1))[spread > 0])
