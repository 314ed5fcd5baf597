"""AdaBoost.R2: real values by rounds that look at the rows with large errors."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.boosting import hypothesis, said
from metatl.types import Batch

LEAST = 1e-10
"""A round's mean loss counts as this at least, and as a half less this at most."""


@dataclass(frozen=True)
class BoostedRegression:
    """w <- w beta^(1 - e), beta = L / (1 - L), e = |error| over the largest, L = sum w e; medians predict.

    Rows whose weights are held keep theirs, and the others their share. Source: Drucker 1997, ICML.

    Args:
        base: the learner, an adaptation on features that respects row weights.
        rounds: at most; none after one whose loss is a half or 0.
        key: of the learner's random numbers.
    """

    base: Adaptation
    rounds: int
    key: int

    def errors(self, rows: Batch, weight: Tensor) -> Tensor:
        """[n]: |error| over the largest, of the learner on these weights [n]."""
        return relative(
            values_of(self.base, hypothesis(self.base, rows, weight, 1, self.key), rows.x), rows.y
        )

    def boosted(self, rows: Batch, weight: Tensor, held: int) -> tuple[list[Any], list[float]]:
        """What each round fitted, and votes ln 1 / beta; the first `held` rows keep their weights [n]."""
        weight, share = weight / weight.sum(), float(weight[held:].sum() / weight.sum())
        found, votes = list[Any](), list[float]()
        for _ in range(self.rounds):
            one = hypothesis(self.base, rows, weight, 1, self.key)
            error = relative(values_of(self.base, one, rows.x), rows.y)
            loss = float((weight * error).sum())
            if loss >= 0.5 and found:
                break
            rate = max(min(loss, 0.5 - LEAST), LEAST)
            rate /= 1 - rate
            found.append(one)
            votes.append(-math.log(rate))
            if loss >= 0.5 or loss <= LEAST:
                break
            target = weight[held:] * rate ** (1 - error[held:])
            weight = torch.cat([weight[:held], target * share / target.sum()])
        return found, votes


def values_of(base: Adaptation, one: Any, x: Tensor) -> Tensor:
    """Real values [n, 1] of a round for features x [n, d]."""
    return said(base, one, x, torch.zeros(0, 1), 1)


def median(base: Adaptation, rounds: Any, votes: Tensor, x: Tensor) -> Tensor:
    """The median [n, 1] over rounds, weighted by their votes [rounds], float64."""
    values = torch.cat([values_of(base, one, x).double() for one in rounds], 1)
    order = values.argsort(1)
    passed = votes[order].cumsum(1) >= 0.5 * votes.sum()
    return values.gather(1, order).gather(1, passed.int().argmax(1, keepdim=True))


def relative(said_of: Tensor, y: Tensor) -> Tensor:
    """[n]: |error| over the largest one."""
    error = (said_of - y).abs().double().flatten()
    return error / error.max().clamp_min(1e-300)
