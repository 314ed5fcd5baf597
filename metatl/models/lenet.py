"""Convolutions with max pooling, then hidden linear layers."""

from __future__ import annotations

from torch import Tensor, nn

from metatl.norm import BatchNorm
from metatl.types import MetatlError


class LeNet(nn.Module):
    """Convolutions, each followed by ReLU and 2x2 max pooling, no padding; hidden linear layers; linear head.

    As it stands it is the net for MNIST of Ganin & Lempitsky 2015 (arXiv 1409.7495), after LeCun et al. 1998.

    Args:
        shape: of one example, (channels, height, width).
        outputs: units of the head.
        filters: channels of every convolution.
        hidden: units of every hidden layer.
        kernel: side of the convolutions' windows.
        norm: whether each convolution is followed by a batch norm, before its ReLU.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        filters: tuple[int, ...] = (32, 48),
        hidden: tuple[int, ...] = (100, 100),
        kernel: int = 5,
        norm: bool = False,
    ) -> None:
        super().__init__()
        before, height, width = shape
        layers: list[nn.Module] = []
        for after in filters:
            layers += [nn.Conv2d(before, after, kernel), *([BatchNorm(after)] if norm else [])]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            before, height, width = after, (height - kernel + 1) // 2, (width - kernel + 1) // 2
        if min(height, width) < 1:
            raise MetatlError(
                f"LeNet: examples of {shape[1]} x {shape[2]} are too small; lower kernel or filters"
            )
        self.convolutions = nn.Sequential(*layers)
        self.hidden, size = nn.Sequential(), before * height * width
        for units in hidden:
            self.hidden += nn.Sequential(nn.Linear(size, units), nn.ReLU())
            size = units
        self.head = nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, height, width] -> outputs [n, outputs]."""
        return self.head(self.hidden(self.convolutions(x).flatten(1)))
