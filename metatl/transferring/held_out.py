"""Scores of rows on labelled rows that a fit has not seen: the folds of cross-validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.estimators.outputs import FLOOR
from metatl.adapt.sharing import Sharing, alike
from metatl.data.fixed import Index
from metatl.evaluation.scores import Score
from metatl.objectives.predictive import Predictive
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import Labelled
from metatl.transferring.judged import judged, said_of
from metatl.transferring.rows import Row


def held_out(row: Row, backbone: Backbone, draws: Sequence[tuple[Labelled, Index]]) -> list[float]:
    """For every draw, the mean score of its rows after a fit to the other folds; the larger the better.

    NaN where the outputs for one are not finite.
    """
    return scores([row], backbone, draws, [parts_of(*one) for one in draws])[0]


Parts = list[tuple[Labelled, Labelled]]
"""For every fold the other rows, and its own."""


def parts_of(draw: Labelled, folds: Index) -> Parts:
    """folds: of every row, [n]."""
    every = range(int(folds.max()) + 1)
    return [
        (part_of(draw, np.flatnonzero(folds != fold)), part_of(draw, np.flatnonzero(folds == fold)))
        for fold in every
    ]


def scores(
    rows: Sequence[Row], backbone: Backbone, draws: Sequence[tuple[Labelled, Index]], parts: Sequence[Parts]
) -> list[list[float]]:
    """For every row, a score for every draw; rows whose ways can share the beginning of a fit do."""
    each = [part for some in parts for part in some]
    if not each:
        return [[] for _ in rows]
    y, sizes = torch.cat([rest.y for _, rest in each]), [sum(len(r.y) for _, r in some) for some in parts]
    found: dict[int, list[float]] = {}
    for places in alike([row.adaptation for row in rows]):
        own = [rows[i].chosen_by(y) for i in places]
        told = _outputs([rows[i] for i in places], backbone, each, any(score.spread for score in own))
        for i, score, one in zip(places, own, told, strict=True):
            values = (score.sign * _values(score, one if score.spread else one.mean, y)).split(sizes)
            found[i] = [float(v.sum()) / len(folds) for v, (_, folds) in zip(values, draws, strict=True)]
    return [found[i] for i in range(len(rows))]


def _outputs(rows: Sequence[Row], backbone: Backbone, each: Parts, sure: bool) -> list[Predictive]:
    """[n, outputs] of each of rows whose ways share a beginning; sure: with the variances of real targets."""
    row = rows[0]
    if len(rows) > 1:
        ways = tuple(one.adaptation for one in rows)
        row = replace(row, adaptation=Sharing(ways[0], ways))
    if not sure:
        return [Predictive(mean) for mean in _together(judged(row, backbone, each), len(rows))]
    told = said_of(row, backbone, each)
    means, variances = _together([one.mean for one in told], len(rows)), [one.sure() for one in told]
    return [Predictive(*one) for one in zip(means, _together(variances, len(rows)), strict=True)]


def _together(parts: Sequence[Tensor], ways: int) -> Tensor:
    """[ways, n, outputs] of parts that all ways, or each, have."""
    return torch.cat([part.expand(ways, *part.shape[-2:]) for part in parts], 1)


def _values(score: Score, said: Any, y: Tensor) -> Tensor:
    """[n]: the score of every row; of a class of probability 0 that of one of FLOOR."""
    values = score.rows(said, y).double()
    return values if y.is_floating_point() else values.clamp_max(-math.log(FLOOR))


def part_of(labelled: Labelled, rows: Index) -> Labelled:
    """Some of the labelled rows, in their order."""
    at = torch.from_numpy(rows)

    def some(whole: Callable[[], Any] = labelled.rows) -> Any:
        return tree.at(whole(), at)

    teacher = None if labelled.teacher is None else labelled.teacher[at]
    return replace(labelled, features=labelled.features[at], y=labelled.y[at], rows=some, teacher=teacher)
