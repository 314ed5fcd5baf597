"""What a pre-trained net is: the module with its head, its preparation, and what is known of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from metatl.data.prepared_signals import WindowPreparation
from metatl.language.preparation import TextPreparation
from metatl.pretrained.preparation import Preparation

AnyPreparation = Preparation | TextPreparation | WindowPreparation
"""How a picture, a text or a window of sensors becomes a row of numbers."""


@dataclass(frozen=True)
class Pretrained:
    """A net as it comes to a new problem.

    name: as it was asked for; module: in eval mode, with its weights; head: dotted name of its output layer;
    preparation: how pictures or texts become its input; weights_sha256: of the weights file, else of the
    state dict; license: of the weights, where it is known; report: one line on what was loaded, left out,
    new, of another shape; recipe: plain values from which `rebuild` makes the architecture.
    """

    name: str
    module: nn.Module
    head: str | None
    preparation: AnyPreparation
    weights_sha256: str
    license: str
    report: str
    recipe: Mapping[str, Any]
