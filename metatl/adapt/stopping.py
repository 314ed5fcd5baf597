"""Early stopping on rows taken out of the labelled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.descend import Point
from metatl.adapt.prediction import predict
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
        watch: the objective's value on those rows, or their `score` (accuracy, averaged precision of several
            labels, mean squared error of real targets).
    """

    share: float = 0.2
    patience: int = 10
    watch: Literal["loss", "score"] = "loss"

    def __post_init__(self) -> None:
        """Raise MetatlError for values that mean nothing."""
        if not 0.0 < self.share < 1.0:
            raise MetatlError(f"stopping: share is {self.share}; give a value between 0 and 1")
        if self.patience < 1:
            raise MetatlError(f"stopping: patience is {self.patience}; give 1 step or more")
        if self.watch not in ("loss", "score"):
            raise MetatlError(f"stopping: watch is {self.watch!r}; it is loss or score")

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
        real = all(leaf.is_floating_point() for leaf in tree.leaves(outside.y))
        return float(score(output, outside.y)) * (1.0 if real else -1.0)

    points = plain.trajectory(net, transfer, inside, "first_order", moving, True, key)
    return _best(points, worth, stopping.patience)


def _best(points: Iterator[Point], worth: Callable[[Params], float], patience: int) -> Params:
    """The weights where `worth` is least, the first of them; ends `patience` points behind the best."""
    best, least, since = Params(), float("inf"), 0
    for point in points:
        value = worth(point.params)
        if not best or value < least:
            best, least, since = point.params, min(value, float("inf")), 0
        elif (since := since + 1) >= patience:
            break
    return best
