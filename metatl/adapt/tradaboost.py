"""TrAdaBoost: boosting that gives up source rows which the target contradicts."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.boosting import filled, hypothesis, rate_of_source, said
from metatl.adapt.closed_form import ClosedForm
from metatl.adapt.named_streams import OfStreams, domains, none_of
from metatl.adapt.solvers import LogisticRegression
from metatl.alignments.alignment import together
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer

LEAST = 1e-10
"""An error of 0 on the target would have an endless vote."""


@dataclass(frozen=True)
class TrAdaBoost(OfStreams):
    """Rounds of a weighted learner: wrong source rows lose weight, wrong target rows gain it.

        eps = sum_T w [h != y] / sum_T w,  beta_t = eps / (1 - eps),  beta = 1 / (1 + sqrt(2 ln n_S / N))
        source w <- w beta^[h != y],  target w <- w beta_t^-[h != y]

    It ends where eps is 1/2 or more. The second half of the rounds votes with ln 1 / beta_t; with more than
    two classes, for which nothing was published, for the class that each names. Source: Dai, Yang, Xue & Yu
    2007, ICML. The support holds streams, see AcrossDomains.

    Args:
        base: the learner, an adaptation on features that respects row weights.
        rounds: N.
    """

    base: Adaptation = ClosedForm(LogisticRegression(1e-2))
    rounds: int = 20

    def __post_init__(self) -> None:
        """Refuse no rounds."""
        if self.rounds < 1:
            raise MetatlError(f"TrAdaBoost: rounds is {self.rounds}; give 1 or more")

    @property
    def saved(self) -> Adaptation:
        """The same around what its learner is saved as."""
        return TrAdaBoost(self.base.saved, self.rounds)

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """The rounds, and their votes."""
        source, labelled, *_ = domains(net, transfer, support)
        if source.y.dim() > 1 or source.y.is_floating_point():
            raise MetatlError("TrAdaBoost needs classes; take TwoStageTrAdaBoost for real targets")
        rows, count = together(source, labelled), len(source.x)
        weight, beta = torch.ones(len(rows.x), dtype=torch.float64), rate_of_source(count, self.rounds)
        found, votes = list[Any](), list[float]()
        for _ in range(self.rounds):
            one = hypothesis(self.base, rows, weight, net.outputs, key)
            wrong = (said(self.base, one, rows.x, rows.y, net.outputs).argmax(-1) != rows.y).double()
            error = float((weight * wrong)[count:].sum() / weight[count:].sum())
            if error >= 0.5 and found:
                break
            rate = max(error, LEAST) / (1 - max(error, LEAST)) if error < 0.5 else 1.0
            found.append(one)
            votes.append(-math.log(rate) if rate < 1 else LEAST)
            if error >= 0.5:
                break
            weight[:count] *= beta ** wrong[:count]
            weight[count:] *= rate ** -wrong[count:]
            weight /= weight.sum()
        first = len(votes) // 2
        return filled(found, [0.0] * first + votes[first:], self.rounds)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, classes]: the logarithm of each class's share of the votes."""
        rows = net.features(transfer.params, transfer.buffers, x)
        y, total = none_of(support.y), torch.zeros(len(rows), net.outputs, dtype=torch.float64)
        for one, vote in zip(fitted["rounds"], fitted["votes"].tolist(), strict=True):
            if vote:
                named = said(self.base, one, rows, y, net.outputs).argmax(-1)
                total += vote * torch.nn.functional.one_hot(named, net.outputs).double()
        return (total / total.sum(1, keepdim=True)).clamp_min(1e-12).log().to(rows.dtype)
