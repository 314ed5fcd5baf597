"""A very basic convolutional net: no norms, one hidden linear layer."""

from __future__ import annotations

import math

from torch import Tensor, nn

from metatl.types import MetatlError


class CNN(nn.Module):
    """3x3 convolutions of stride 2 with ReLU, flattened, a hidden linear layer with ReLU, a linear head.

    Each convolution divides the image by its stride (rounding up). Without norms nothing adapts to new data
    but the weights.

    Args:
        shape: of one example, (channels, height, width).
        outputs: units of the head.
        filters: channels of every convolution.
        hidden: units of the hidden layer.
        kernels: side of every convolution's window, odd; the last one serves all that follow.
        strides: of every convolution; the last one serves all that follow.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        filters: tuple[int, ...] = (16, 32),
        hidden: int = 64,
        kernels: tuple[int, ...] = (3,),
        strides: tuple[int, ...] = (2,),
    ) -> None:
        super().__init__()
        if not kernels or not strides or any(k < 1 or k % 2 == 0 for k in kernels) or min(strides) < 1:
            raise MetatlError("CNN: kernels are odd, strides 1 or more; give at least one of each")
        before, height, width = shape
        layers: list[nn.Module] = []
        for place, after in enumerate(filters):
            kernel, stride = (given[min(place, len(given) - 1)] for given in (kernels, strides))
            layers += [nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2), nn.ReLU()]
            before, height, width = after, math.ceil(height / stride), math.ceil(width / stride)
        self.convolutions = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(before * height * width, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, height, width] -> outputs [n, outputs]."""
        return self.head(self.hidden(self.convolutions(x).flatten(1)))
