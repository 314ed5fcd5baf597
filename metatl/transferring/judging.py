"""From outputs to what is said of rows: predictions, and how good they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.formulas import ScoredRows
from metatl.data.targets import Kind
from metatl.evaluation.scores import SCORES, Score, default, target_of
from metatl.objectives.predictive import Predictive

NO_CLASS = -1
"""Named for a row whose outputs are not finite: the largest of them would be the first class."""
MANY = 30
"""Classes, beyond which scores that look at every class of every row are left out."""
HUGE = 1e20
"""No score: the log loss of a class of probability 0."""


@dataclass(frozen=True)
class Scale:
    """What real targets are standardised by, [outputs] float64: float32 has 7 digits, and a date has 10.

    Mean 0 and deviation 1 leaves others as they are.
    """

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def of(y: Tensor) -> Scale:
        """Of labelled rows [n, d]; of classes and labels, and of a column that does not vary, 1."""
        if not y.is_floating_point():
            return Scale(torch.zeros(()), torch.ones(()))
        y = y.double()
        spread = y.std(0, correction=0)
        return Scale(
            y.mean(0), torch.where(spread > 1e-14 * y.abs().amax(0), spread, torch.ones_like(spread))
        )

    def down(self, y: Tensor) -> Tensor:
        """(y - mean) / deviation of real targets [n, outputs], float32; others as they are."""
        return ((y - self.mean) / self.deviation).float() if y.is_floating_point() else y

    def up(self, outputs: Tensor) -> Tensor:
        """Outputs [n, outputs] in the targets' own units."""
        return outputs * self.deviation + self.mean

    def told(self, outputs: Predictive) -> Predictive:
        """Means and variances in the targets' own units."""
        variance = None if outputs.variance is None else outputs.variance * self.deviation.square()
        return Predictive(self.up(outputs.mean), variance)


@dataclass(frozen=True)
class Judged:
    """What one fit said of the rows that judge.

    predicted: of every row the class (NO_CLASS where outputs are not finite), the probability of every label,
    or the values; probability: of that class; scores: of every row, None where it has none; also: further
    scores over all rows, by name; diverged: rows whose outputs are not finite.
    """

    predicted: list[Any]
    probability: list[float]
    scores: list[float | None]
    also: dict[str, float | None]
    diverged: int


def kind_of(y: Tensor) -> Kind:
    """What targets [n] or [n, outputs] mean, by their type."""
    if y.is_floating_point():
        return "real"
    return "labels" if y.dtype == torch.bool else "classes"


def score_of(y: Tensor) -> Score:
    """The score that ways are compared by, for targets [n] or [n, outputs]."""
    return default(y)


def shown(score: Score, value: float) -> float:
    """A mean as tables print it: shares in percent, values with the digits that they have."""
    return round(score.factor * value, 2) if score.unit else float(f"{value:.6g}")


def kept(name: str, value: float) -> float | None:
    """A further score as reports keep it: of real values, whose unit is free, seven digits."""
    if SCORES[name].takes == ("real",):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return round(value, 6) + 0.0 if abs(value) < HUGE else None


def figures(value: float, deviation: float) -> str:
    """A value with six digits, and five at least of its target's deviation: 1700000003.2543 if that is 2."""
    more = 0
    if math.isfinite(value) and value and deviation > 0:
        more = min(max(math.floor(math.log10(abs(value)) - math.log10(deviation)), 0), 10)
    return f"{value:.{6 + more}g}"


def row_scores(outputs: Tensor, y: Tensor) -> Tensor:
    """[n]: the score of every row; where outputs are not finite its worst value, NaN where there is none."""
    score = score_of(y)
    return score.rows(outputs, y).double().nan_to_num(torch.nan if score.worst is None else score.worst)


def judge(outputs: Tensor, y: Tensor, variance: Tensor | None = None) -> Judged:
    """Outputs [n, k] beside the targets of the same rows; variance: [n, k] of real ones, where it is said."""
    whole = outputs.isfinite().all(-1)
    kind = kind_of(y)
    probability: list[float] = []
    if kind == "classes":
        predicted: list[Any] = torch.where(whole, outputs.argmax(-1), NO_CLASS).tolist()
        sure = torch.where(whole, outputs.softmax(-1).amax(-1), 0.0)
        probability = sure.double().numpy().round(6).tolist()
    else:
        values = outputs.sigmoid() if kind == "labels" else outputs
        unit = [1.0] * values.shape[-1] if kind == "labels" else Scale.of(y).deviation.tolist()
        predicted = [
            [float(figures(v, of)) for v, of in zip(row, unit, strict=True)] if ok else None
            for row, ok in zip(values.tolist(), whole.tolist(), strict=True)
        ]
    scores = [None if v != v else float(f"{v:.10g}") for v in row_scores(outputs, y).tolist()]
    also = _also(outputs, y, bool(whole.all()), variance)
    return Judged(predicted, probability, scores, also, int((~whole).sum()))


def _also(outputs: Tensor, y: Tensor, whole: bool, variance: Tensor | None) -> dict[str, float | None]:
    """Every other score of such outputs and targets that has a value; none where an output is not finite."""
    own, found = score_of(y).name, dict[str, float | None]()
    if not whole or not len(y) or (y.dim() == 1 and outputs.shape[1] > MANY):
        return found
    kind, rows = target_of(y), ScoredRows(outputs, y)
    for name, score in SCORES.items():
        if name != own and kind in score.takes and not (score.spread and variance is None):
            value = score.of(Predictive(outputs, variance) if score.spread else outputs, y, rows)
            found[name] = kept(name, value)
    return found
