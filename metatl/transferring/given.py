"""What a body that moves is given: where its output layer starts, and what a teacher says of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metatl.adapt import ClosedForm
from metatl.heads import Head
from metatl.net import Net
from metatl.transferring.readout import fit_readout
from metatl.types import Batch, MetatlError, Transfer

if TYPE_CHECKING:
    from metatl.transferring.fit import Labelled


@dataclass(frozen=True)
class Given(Head):
    """An output layer that is new to the task and starts from given weights."""

    weight: Tensor
    bias: Tensor

    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """The given ones: [outputs, d] and [outputs]."""
        return self.weight, self.bias


def taught(teacher: ClosedForm, labelled: Labelled) -> dict[str, Tensor]:
    """Labels [n] beside a teacher's logits, as `Distillation` takes them: a layer on its frozen features.

    Raises MetatlError where there is no teacher.
    """
    if labelled.teacher is None:
        raise MetatlError("this method learns from a larger net; name it with --teacher")
    layer = fit_readout(teacher, Batch(labelled.teacher, labelled.y), labelled.outputs, labelled.key)
    with torch.no_grad():
        return {"labels": labelled.y, "teacher": layer(labelled.teacher)}
