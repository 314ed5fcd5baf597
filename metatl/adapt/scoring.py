"""The score of outputs beside targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.label_ranking import label_ranking
from metatl.objectives.losses import class_axis
from metatl.objectives.task_loss import head, nll


def score(output: Any, y: Any) -> Tensor:
    """Accuracy in [0, 1] for class labels, mean squared error for real targets; 0-d.

    Of several labels at once, averaged precision (`label_ranking`). Of several targets of one kind, the mean
    over them. NaN where an output is not finite: the largest of
    outputs that are no numbers is no class.
    """
    if isinstance(y, Mapping):
        return torch.stack([score(head(output, name), part) for name, part in y.items()]).mean()
    if y.is_floating_point():
        return nll(output, y)
    if y.dtype == torch.bool:
        return label_ranking(output, y).mean() + (output - output).sum()
    right = (output.argmax(class_axis(output, y)) == y).to(output.dtype).mean()
    return right + (output - output).sum()  # 0, and NaN of what is not finite, in the fewest operations
