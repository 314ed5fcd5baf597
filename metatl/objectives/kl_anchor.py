"""KL-anchored cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class KLAnchor(Term):
    """(1 - alpha) CE(y, p) + alpha KL(p0 || p), p0 the frozen start's probabilities at temperature 1.

    Up to the entropy of p0 this is the cross-entropy with the target (1 - alpha) onehot(y) + alpha p0, so
    d/dlogit = p - target: alpha 0 is plain fine-tuning, alpha 1 has its optimum at the start. Source: Phan et
    al. 2020, arXiv 2004.11349, after Yu et al., ICASSP 2013.

    Args:
        alpha: weight of the anchor, 0 to 1.
    """

    alpha: float = 0.5

    needs_anchor = True
    needs_anchor_output = True

    def __post_init__(self) -> None:
        """Raise MetatlError outside 0 <= alpha <= 1."""
        if not 0.0 <= self.alpha <= 1.0:
            raise MetatlError(f"KLAnchor: alpha is {self.alpha}; give a value from 0 to 1")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The anchored loss, mean over rows."""
        if anchor.output is None:
            raise MetatlError(
                "KLAnchor needs the frozen model's outputs and stands in a task's own objective only"
            )
        if losses.target_of(batch.y) != "classes":
            raise MetatlError("KLAnchor needs class labels; use L2SP to hold other targets near their start")
        axis = losses.class_axis(output, batch.y)
        log_p = output.log_softmax(axis)
        log_p0 = anchor.output.log_softmax(axis)
        label = mean_over_rows(losses.of_label(-log_p, batch.y), batch.weight)
        kl = mean_over_rows((log_p0.exp() * (log_p0 - log_p)).sum(axis, keepdim=True), batch.weight)
        return (1.0 - self.alpha) * label + self.alpha * kl
