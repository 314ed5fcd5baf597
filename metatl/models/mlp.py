"""A multi-layer perceptron."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from metatl.norm import BatchNorm

_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class MLP(nn.Module):
    """Linear layers with an activation between them, and a linear head; the input is flattened.

    Args:
        shape: of one example.
        outputs: units of the head.
        hidden: width of every hidden layer (40, 40 for the published sinusoid).
        activation: after every hidden layer.
        norm: batch norm before the activation (the published non-convolutional Omniglot net).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        hidden: tuple[int, ...] = (40, 40),
        activation: Literal["relu", "sigmoid", "tanh"] = "relu",
        norm: bool = False,
    ) -> None:
        super().__init__()
        width = math.prod(shape)
        layers: list[nn.Module] = []
        for size in hidden:
            between = [BatchNorm(size)] if norm else []
            layers += [nn.Linear(width, size), *between, _ACTIVATIONS[activation]()]
            width = size
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, *shape] -> outputs [n, outputs]."""
        return self.head(self.body(x.flatten(1)))
