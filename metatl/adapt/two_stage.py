"""Two-stage TrAdaBoost.R2: real targets, the source's share shrinking step by step."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.boosted_regression import BoostedRegression, median
from metatl.adapt.boosting import filled
from metatl.adapt.closed_form import ClosedForm
from metatl.adapt.named_streams import OfStreams, domains
from metatl.adapt.solvers import RidgeRegression
from metatl.alignments.alignment import together
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer

MOST_FOLDS, HALVINGS = 5, 60


@dataclass(frozen=True)
class TwoStageTrAdaBoost(OfStreams):
    """Step by step the source has a smaller share of the weight; the step of least target error is taken.

    Step t of S: AdaBoost.R2 with the source's weights held, w <- w beta_t^(1 - e) for target rows, whose
    share stays, judged by cross-validation on the target; then source w <- w beta^e, e = |error| over the
    largest, with the beta that brings the target's share to m / (n + m) + t / (S - 1) (1 - m / (n + m)). The
    last step has the target alone. Predictions are medians weighted by ln 1 / beta_t. Source: Pardoe & Stone
    2010, ICML.

    Args:
        base: the learner, an adaptation on features that respects row weights.
        rounds: of AdaBoost.R2.
        steps: S.
    """

    base: Adaptation = ClosedForm(RidgeRegression())
    rounds: int = 10
    steps: int = 10

    def __post_init__(self) -> None:
        """Refuse no rounds, and one step."""
        if self.rounds < 1 or self.steps < 2:
            raise MetatlError("TwoStageTrAdaBoost: give 1 round or more, and 2 steps or more")

    @property
    def saved(self) -> Adaptation:
        """The same around what its learner is saved as."""
        return TwoStageTrAdaBoost(self.base.saved, self.rounds, self.steps)

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """The rounds of the best step, and their votes."""
        source, labelled, *_ = domains(net, transfer, support)
        y = [part.y.float().reshape(len(part.y), -1) for part in (source, labelled)]
        if y[0].shape[1] != 1:
            raise MetatlError("TwoStageTrAdaBoost fits one real target")
        source, labelled = source._replace(y=y[0]), labelled._replace(y=y[1])
        rows, n, m = together(source, labelled), len(source.x), len(labelled.x)
        weight, best = torch.full((n + m,), 1 / (n + m), dtype=torch.float64), (math.inf, weight_of(n, m))
        rounds = BoostedRegression(self.base, self.rounds, key)
        for step in range(self.steps):
            error = held_out(rounds, rows, weight, n)
            if error < best[0]:
                best = (error, weight)
            if step < self.steps - 1:
                share = m / (n + m) + (step + 1) / (self.steps - 1) * (1 - m / (n + m))
                weight = shrunk(weight, rounds.errors(rows, weight), n, share)
        return filled(*rounds.boosted(rows, best[1], n), self.rounds)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Real values [n, 1]: the weighted median over rounds."""
        rows = net.features(transfer.params, transfer.buffers, x)
        found = median(self.base, fitted["rounds"], fitted["votes"], rows)
        return found.to(rows.dtype).expand(-1, net.outputs)


def held_out(way: BoostedRegression, rows: Batch, weight: Tensor, n: int) -> float:
    """The mean squared error on target rows left out in folds, under weights [n + m]; endless for m = 1."""
    m = len(rows.x) - n
    fold, total = torch.arange(m) % min(MOST_FOLDS, m), 0.0
    if m < 2:
        return math.inf
    for one in fold.unique():
        held = torch.cat([torch.zeros(n, dtype=torch.bool), fold == one])
        inside = Batch(rows.x[~held], rows.y[~held])
        found, votes = way.boosted(inside, weight[~held], n)
        told = median(way.base, found, torch.tensor(votes, dtype=torch.float64), rows.x[held])
        total += float((told - rows.y[held]).square().sum())
    return total / m


def weight_of(n: int, m: int) -> Tensor:
    """The target alone: [n + m], 0 for the n source rows."""
    return torch.cat([torch.zeros(n), torch.ones(m)]).double() / m


def shrunk(weight: Tensor, error: Tensor, n: int, share: float) -> Tensor:
    """weight [n + m] with the target's share raised to this one: w <- w beta^e of the n source rows."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        beta = (low + high) / 2
        source = weight[:n] * beta ** error[:n]
        if float(weight[n:].sum() / (source.sum() + weight[n:].sum())) > share:
            low = beta
        else:
            high = beta
    source = weight[:n] * high ** error[:n] if share < 1 else torch.zeros(n, dtype=torch.float64)
    found = torch.cat([source, weight[n:]])
    return found / found.sum()
