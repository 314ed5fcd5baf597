"""A very basic convolutional net: no norms, one hidden linear layer."""

from __future__ import annotations

import math

from torch import Tensor, nn


class CNN(nn.Module):
    """3x3 convolutions of stride 2 with ReLU, flattened, a hidden linear layer with ReLU, a linear head.

    Each convolution halves the image (rounding up). Without norms nothing adapts to new data but the weights.

    Args:
        shape: of one example, (channels, height, width).
        outputs: units of the head.
        filters: channels of every convolution.
        hidden: units of the hidden layer.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        filters: tuple[int, ...] = (16, 32),
        hidden: int = 64,
    ) -> None:
        super().__init__()
        before, height, width = shape
        layers: list[nn.Module] = []
        for after in filters:
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
            before, height, width = after, math.ceil(height / 2), math.ceil(width / 2)
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(before * height * width, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, height, width] -> outputs [n, outputs]."""
        return self.head(self.hidden(self.convolutions(x).flatten(1)))
