"""What an adaptation is: a way from a transfer and a task's support set to predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from metatl.net import Net
from metatl.types import Batch, Moments, Transfer

Fitted = Any
"""What a task was fitted to: nested tuples and dicts of tensors, or what an outside estimator keeps."""


class Adaptation(ABC):
    """A way of using what is carried on a new task: fit it to the support set, then predict.

    Descent moves weights by gradients, ClosedForm solves for an output layer, InContext keeps the support set
    and moves nothing, Estimator hands rows to a learner that is none of torch's.
    """

    moments: Moments = "frozen"
    """Which rows give batch norm its moments in predictions; `batch` is transductive."""

    @abstractmethod
    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Fitted:
        """What one task's predictions need; key: of whatever is drawn at random on the way."""

    @abstractmethod
    def predict(self, net: Net, transfer: Transfer, fitted: Fitted, support: Batch, x: Tensor) -> Tensor:
        """Outputs [n, outputs] for the rows x [n, ...]: logits, or real values."""
