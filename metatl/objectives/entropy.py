"""Entropy of predictions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.target_alone import TargetAlone
from metatl.objectives.term import mean_over_rows


@dataclass(frozen=True)
class Entropy(TargetAlone):
    """weight * mean over rows of H(p) = -sum p log p, p = softmax(output); no label is looked at.

    Minimised over the norms' scale and shift alone, with moments of the target's rows, it is Tent
    (`configs/digits.yaml/tent`). Sources: Grandvalet & Bengio 2005; Wang et al. 2021, arXiv 2006.10726.

    Args:
        weight: factor of the term.
    """

    weight: float = 1.0

    def value(self, output: Tensor, weight: Tensor | None) -> Tensor:
        """The mean entropy of output [n, classes], 0-d."""
        return mean_over_rows(losses.entropy(output)[:, None], weight)
