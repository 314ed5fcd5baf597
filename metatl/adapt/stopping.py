"""Early stopping on rows taken out of the labelled ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.descend import Point
from metatl.adapt.prediction import predict
from metatl.adapt.scores import named
from metatl.adapt.scoring import score
from metatl.data.counter import first_of_shuffle, number
from metatl.net import Net
from metatl.norm_calls import transformed
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, total
from metatl.types import Batch, Episode, MetatlError, Params, Transfer

if TYPE_CHECKING:
    from metatl.adapt.descent import Descent

_PURPOSE = 2


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a descent when rows that it does not learn from get no better, and gives the best weights back.

    The start counts as a point too; of points that are alike the first one is best.

    Args:
        share: of the labelled rows, taken out class by class: at least one of every class that has two, and
            never the last one of a class.
        patience: steps without a better point before it ends.
        watch: the objective's value on those rows (`loss`), their `score` (accuracy, averaged precision of
            several labels, mean squared error of real targets), or any score by its name (AUROC, macro F1,
            ...), which knows which way is better.
    """

    share: float = 0.2
    patience: int = 10
    watch: str = "loss"

    def __post_init__(self) -> None:
        """Raise MetatlError for values that mean nothing."""
        if not 0.0 < self.share < 1.0:
            raise MetatlError(f"stopping: share is {self.share}; give a value between 0 and 1")
        if self.patience < 1:
            raise MetatlError(f"stopping: patience is {self.patience}; give 1 step or more")
        if self.watch not in ("loss", "score"):
            _named(self.watch)

    def parted(self, support: Batch, key: int) -> tuple[Batch, Batch]:
        """The rows to learn from, in their order, and those taken out; MetatlError where none can be."""
        held = self._taken(support, key)
        if not held:
            raise MetatlError(
                "stopping takes rows out of the labelled ones, and no class has two; label more rows, or "
                "leave it out"
            )
        device = tree.first(support.x).device
        out = torch.zeros(tree.rows(support.x), dtype=torch.bool)
        out[held] = True
        inside, outside = ((part).nonzero()[:, 0].to(device) for part in (~out, out))
        return tree.at(support, inside), tree.at(support, outside)

    def _taken(self, support: Batch, key: int) -> list[int]:
        count = tree.rows(support.x)
        order = first_of_shuffle(torch.tensor(number(key, _PURPOSE)), count, count, count).tolist()
        y, weight = support.y, support.weight
        labelled = isinstance(y, Tensor) and not y.is_floating_point() and y.dim() == 1
        labels = y.tolist() if labelled else [0] * count
        counts = [True] * count if weight is None else (weight > 0).tolist()
        classes: dict[int, list[int]] = {}
        for row in order:
            if counts[row]:
                classes.setdefault(labels[row], []).append(row)
        take = {c: min(max(round(self.share * len(rows)), 1), len(rows) - 1) for c, rows in classes.items()}
        return [row for c, rows in classes.items() for row in rows[: take[c]]]


def stopped(
    descent: Descent,
    stopping: EarlyStopping,
    net: Net,
    transfer: Transfer,
    support: Batch,
    moving: frozenset[str] | None,
    key: int,
) -> Params:
    """The best weights of the descent on the rows that are left of the support set.

    Raises MetatlError under vmap, where no value can be read.
    """
    if transformed(*tree.leaves(support)):
        raise MetatlError("early stopping reads losses, which no batch of tasks can; choose engine Loop")
    inside, outside = stopping.parted(support, key)
    plain = replace(descent, stopping=None)
    terms = tuple(term for term in descent.terms if not term.needs_anchor) or (TaskLoss(),)

    def worth(weights: Params) -> float:
        output = predict(net, weights, transfer, Episode(inside, outside), descent.moments)
        if stopping.watch == "loss":
            return float(total(terms, weights, output, outside, Anchor(weights, None)))
        return _watched(stopping.watch, output, outside.y)

    points = plain.trajectory(net, transfer, inside, "first_order", moving, True, key)
    return _best(points, worth, stopping.patience)


def _watched(watch: str, output: Any, y: Any) -> float:
    """A score's value, turned so that less is better; MetatlError where it has none for these targets."""
    if watch == "score":
        real = all(leaf.is_floating_point() for leaf in tree.leaves(y))
        return float(score(output, y)) * (1.0 if real else -1.0)
    judged = named(watch)
    value = judged(output, y)
    if math.isnan(value) and all(bool(leaf.isfinite().all()) for leaf in tree.leaves(output)):
        raise MetatlError(
            f"stopping: {watch} has no value for the {tree.rows(y)} rows taken out (of one class, or "
            "targets that do not vary); take more (share), or watch another score"
        )
    return -judged.sign * value


def _named(watch: str) -> None:
    try:
        named(watch)
    except MetatlError as error:
        raise MetatlError(f"stopping: watch is loss, score or the name of a score; {error}") from error


def _best(points: Iterator[Point], worth: Callable[[Params], float], patience: int) -> Params:
    """The weights where `worth` is least, the first of them; ends `patience` points after the best."""
    best, least, since = Params(), float("inf"), 0
    for point in points:
        value = worth(point.params)
        if not best or value < least:
            best, least, since = point.params, min(value, float("inf")), 0
        elif (since := since + 1) >= patience:
            break
    return best
