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
from metatl.adapt.two_stage_weights import held_out, shrunk, weight_of
from metatl.alignments.alignment import together
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer


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
