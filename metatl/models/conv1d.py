"""A small convolutional net for windows of sensor signals."""

from __future__ import annotations

from torch import Tensor, nn

from metatl.norm import BatchNorm


class Conv1d(nn.Module):
    """Blocks of 1-D convolution (kernel 5, stride 2), batch norm, ReLU; mean over time; linear head.

    Args:
        shape: of one window, (channels, samples).
        outputs: units of the head.
        filters: channels of every block.
        blocks: number of blocks; each halves the window.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, filters: int = 64, blocks: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(blocks):
            before = shape[0] if i == 0 else filters
            layers.append(
                nn.Sequential(
                    nn.Conv1d(before, filters, 5, stride=2, padding=2), BatchNorm(filters), nn.ReLU()
                )
            )
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(filters, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, samples] -> outputs [n, outputs]."""
        return self.head(self.blocks(x).mean(-1))
