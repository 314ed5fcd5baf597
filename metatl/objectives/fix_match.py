"""Self-training across two views of the same rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Seen, Term, mean_over_rows
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class FixMatch(Term):
    """weight * mean over rows of [max p >= threshold] * CE(strong, argmax p), p of the same row's weak view.

    The stream `target` holds the rows in a weak view, `strong` the same rows in a strong one (two `Domain`s
    with views of their own, of one size); no gradient goes through p. Rows below the threshold count as 0.
    Where both views are one, this is `PseudoLabels`. Source: Sohn et al. 2020, arXiv 2001.07685.

    Args:
        weight: factor of the term.
        threshold: share of the likeliest class from which on it is a label, 0 to 1.
    """

    weight: float = 1.0
    threshold: float = 0.95

    streams = ("target", "strong")

    def __post_init__(self) -> None:
        """Raise MetatlError for a threshold that is no share."""
        if not 0.0 <= self.threshold <= 1.0:
            raise MetatlError(f"FixMatch: threshold is {self.threshold}; give a share from 0 to 1")

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The loss of the strong view, 0-d."""
        weak, strong = (seen.passes[name].output for name in self.streams)
        if len(weak) != len(strong):
            raise MetatlError(
                f"FixMatch: {len(weak)} rows of target and {len(strong)} of strong; give both one size"
            )
        share, label = weak.detach().softmax(-1).max(-1)
        loss = losses.cross_entropy(strong, label) * (share >= self.threshold)[:, None]
        return self.weight * mean_over_rows(loss, seen.batches["strong"].weight)
