"""Minimum class confusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.target_alone import TargetAlone
from metatl.types import MetatlError


@dataclass(frozen=True)
class MCC(TargetAlone):
    """weight * how much classes are confused with each other in a batch, 0 to 1; no label is looked at.

        p = softmax(output / temperature),  C = p^T diag(w) p,  1 - mean over classes c of C_cc / sum_k C_ck

    w = 1 + exp(-H(p)), scaled to a mean of 1, and a constant of the gradient: sure rows count more. Source:
    Jin et al. 2020, arXiv 1912.03699.

    Args:
        weight: factor of the term.
        temperature: of the probabilities.
    """

    weight: float = 1.0
    temperature: float = 2.5

    def __post_init__(self) -> None:
        """Raise MetatlError for a temperature that is none."""
        if not self.temperature > 0:
            raise MetatlError(f"MCC: temperature is {self.temperature}; give a number above 0")

    def value(self, output: Tensor, weight: Tensor | None) -> Tensor:
        """The share of confusion of output [n, classes], 0-d."""
        logits = output / self.temperature
        p, count = logits.softmax(-1), output.new_ones(len(output)) if weight is None else weight
        sure = (1.0 + torch.exp(-losses.entropy(logits.detach()))) * count
        confused = (p * (sure / sure.sum() * count.sum())[:, None]).T @ p
        return 1.0 - (confused.diagonal() / confused.sum(1).clamp(min=1e-12)).mean()
