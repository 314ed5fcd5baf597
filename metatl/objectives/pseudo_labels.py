"""Self-training on sure predictions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.target_alone import TargetAlone
from metatl.objectives.term import mean_over_rows
from metatl.types import MetatlError


@dataclass(frozen=True)
class PseudoLabels(TargetAlone):
    """weight * mean over rows of [max p >= threshold] * cross-entropy with the class that p makes likeliest.

    Rows below the threshold count as 0, not as absent, so that a few sure ones do not rule a batch. Sources:
    Lee 2013; the threshold as in FixMatch, Sohn et al. 2020, arXiv 2001.07685 (without its views).

    Args:
        weight: factor of the term.
        threshold: share of the likeliest class from which on it is a label, 0 to 1.
    """

    weight: float = 1.0
    threshold: float = 0.95

    def __post_init__(self) -> None:
        """Raise MetatlError for a threshold that is no share."""
        if not 0.0 <= self.threshold <= 1.0:
            raise MetatlError(f"PseudoLabels: threshold is {self.threshold}; give a share from 0 to 1")

    def value(self, output: Tensor, weight: Tensor | None) -> Tensor:
        """The loss on the sure rows of output [n, classes], 0-d."""
        share, label = output.detach().softmax(-1).max(-1)
        loss = losses.cross_entropy(output, label)
        return mean_over_rows(loss * (share >= self.threshold)[:, None], weight)
