"""Binary cross-entropy of several labels at once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from metatl.objectives import losses
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class BinaryCrossEntropy(Term):
    """weight * mean over rows and labels of -(v q log s + (1 - q) log(1 - s)), s = sigmoid(output).

    q = (1 - smoothing) y + smoothing / 2; y bool [n, labels], or the probability that a label holds (real).
    As torch's binary_cross_entropy_with_logits.

    Args:
        weight: factor.
        smoothing: share of the target that is spread over yes and no, 0 to 1.
        positive: v, a number for each label that weighs its rows that hold; 1 where left out.
    """

    weight: float = 1.0
    smoothing: float = 0.0
    positive: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raise MetatlError for shares and weights that mean nothing."""
        if not 0.0 <= self.smoothing <= 1.0:
            raise MetatlError(f"BinaryCrossEntropy: smoothing is {self.smoothing}; give a value from 0 to 1")
        losses.check_factors(self, "positive", self.positive)

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for class labels, and other numbers of weights."""
        losses.needs(self, batch.y, "labels", "real")
        y = losses.paired(output, batch.y).to(output.dtype)
        y = (1.0 - self.smoothing) * y + self.smoothing / 2
        held = F.softplus(-output)
        if self.positive:
            held = held * losses.factors(self, "positive", self.positive, output, output.shape[-1])
        return self.weight * mean_over_rows(y * held + (1.0 - y) * F.softplus(output), batch.weight)
