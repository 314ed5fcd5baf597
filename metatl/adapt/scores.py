"""Scores by name: what they are called, in which unit, which way is better, and of which targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import formulas
from metatl.adapt.label_ranking import label_ranking
from metatl.data.targets import SAID, Kind
from metatl.objectives.losses import target_of
from metatl.objectives.predictive import Predictive
from metatl.objectives.task_loss import head
from metatl.text import near
from metatl.types import MetatlError

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Score:
    """A number for outputs beside targets.

    name: as configs, tables and reports have it; better: which way; takes: the targets that it means
    something for; by_row: its value for every row [n], whose mean it then is; by_set: its value for a set of
    rows that is no such mean; unit: `%` where tables print it times 100, else nothing; worst: what outputs
    that are not finite count as, None where there is no worst value (then they leave no mean); spread:
    whether its outputs are `Predictive`, mean and variance.
    """

    name: str
    better: Better
    takes: tuple[Kind, ...]
    by_row: Callable[[Any, Tensor], Tensor] | None = None
    by_set: Callable[[formulas.ScoredRows], float] | None = None
    unit: Literal["%", ""] = ""
    worst: float | None = None
    spread: bool = False
    least: float | None = None

    @property
    def per_row(self) -> bool:
        """Whether it is a mean over rows."""
        return self.by_row is not None

    @property
    def factor(self) -> int:
        """What tables multiply it with."""
        return 100 if self.unit == "%" else 1

    @property
    def places(self) -> int:
        """Decimals in tables."""
        return 2 if self.unit == "%" else 4

    @property
    def sign(self) -> float:
        """1 where higher is better, -1 where lower is."""
        return 1.0 if self.better == "higher" else -1.0

    @property
    def titled(self) -> str:
        """The name with its unit, as a heading has it."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def check(self, kind: Kind) -> None:
        """Raise MetatlError for targets that it means nothing for, with the scores that do."""
        if kind not in self.takes:
            fit = ", ".join(name for name, score in SCORES.items() if kind in score.takes)
            raise MetatlError(f"{self.name} is no score of {SAID[kind]}; there are: {fit}")

    def rows(self, output: Any, y: Tensor) -> Tensor:
        """Its value for every row, [n]: NaN where an output is not finite. MetatlError for another score."""
        self.check(target_of(y))
        if self.by_row is None:
            rows = ", ".join(name for name, score in SCORES.items() if score.per_row)
            raise MetatlError(f"{self.name} has no value for a single row; scores that have: {rows}")
        self._check_spread(output)
        values = self.by_row(output, y)
        mean = output.mean if isinstance(output, Predictive) else output
        return torch.where(mean.isfinite().flatten(1).all(1), values, torch.nan)

    def _check_spread(self, output: Any) -> None:
        if self.spread and not isinstance(output, Predictive):
            raise MetatlError(f"{self.name} is of a mean and a variance, and these outputs are means alone")

    def __call__(self, output: Any, y: Any) -> float:
        """Its value for outputs [n, ...] beside y [n, ...]; of several targets by name the mean over them.

        NaN where an output is not finite, and where the score has no value: for no rows at all, for rows of
        one class (AUROC), for targets that do not vary (R2).
        """
        if isinstance(y, Mapping):
            found = [self(head(output, name), part) for name, part in y.items()]
            return sum(found) / len(found)
        self.check(target_of(y))
        if not len(y) or not all(bool(leaf.isfinite().all()) for leaf in tree.leaves(output)):
            return float("nan")
        self._check_spread(output)
        return self.of(output, y)

    def of(self, output: Any, y: Tensor, rows: formulas.ScoredRows | None = None) -> float:
        """Its value for finite outputs [n, ...] of n > 0 rows, of targets that it takes; nothing is checked.

        rows: the same outputs and targets as arrays, where other scores read them too.
        """
        if self.by_set is not None:
            return float(self.by_set(rows or formulas.ScoredRows(output, y)))
        assert self.by_row is not None
        return float(self.by_row(output, y).mean())


_CLASSES: tuple[Kind, ...] = ("classes",)
_LABELS: tuple[Kind, ...] = ("labels",)
_REAL: tuple[Kind, ...] = ("real",)
_BOTH = _CLASSES + _LABELS

SCORES: Mapping[str, Score] = {
    score.name: score
    for score in (
        Score("accuracy", "higher", _CLASSES, formulas.right, unit="%", worst=0.0),
        Score(
            "balanced accuracy", "higher", _CLASSES, by_set=formulas.balanced_accuracy, unit="%", worst=0.0
        ),
        Score("macro F1", "higher", _BOTH, by_set=formulas.macro_f1, unit="%", worst=0.0),
        Score("AUROC", "higher", _BOTH, by_set=formulas.auroc, worst=0.0),
        Score("log loss", "lower", _BOTH, formulas.log_loss, least=0.0),
        Score("calibration error", "lower", _CLASSES, by_set=formulas.calibration_error, worst=1.0),
        Score("averaged precision", "higher", _LABELS, label_ranking, unit="%", worst=0.0),
        Score(
            "macro averaged precision",
            "higher",
            _BOTH,
            by_set=formulas.macro_average_precision,
            unit="%",
            worst=0.0,
        ),
        Score("MSE", "lower", _REAL, formulas.squared, least=0.0),
        Score("MAE", "lower", _REAL, formulas.absolute, least=0.0),
        Score("NLL", "lower", _REAL, formulas.negative_log_likelihood, spread=True),
        Score("coverage", "higher", _REAL, formulas.coverage, unit="%", worst=0.0, spread=True),
        Score("interval score", "lower", _REAL, formulas.interval_score, spread=True),
        Score("R2", "higher", _REAL, by_set=formulas.r2),
    )
}
"""Every score by its name."""


def default(y: Tensor) -> Score:
    """Where none is named: accuracy of y [n], averaged precision of labels [n, k], MSE of real values."""
    return default_for(target_of(y))


def default_for(kind: Kind) -> Score:
    """The same by what targets are."""
    return next(score for score in SCORES.values() if score.per_row and score.takes == (kind,))


def named(name: str) -> Score:
    """The score of this name; raises MetatlError with the nearest. `loss` is how reports call an MSE."""
    if name == "loss":
        return replace(SCORES["MSE"], name="loss")
    if name not in SCORES:
        raise MetatlError(f"there is no score {name!r}{near(name, SCORES)}")
    return SCORES[name]
