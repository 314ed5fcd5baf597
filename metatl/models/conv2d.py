"""A small convolutional net for spectrograms of sound."""

from __future__ import annotations

from torch import Tensor, nn

from metatl.norm import BatchNorm


class Conv2d(nn.Module):
    """Blocks of 2-D convolution (kernel 3, stride 2), batch norm, ReLU; mean over time; linear head.

    Bands are not averaged: which of them sounds is what tells one vowel, or one tone, from another.

    Args:
        shape: of one example, (channels, frames, bands).
        outputs: units of the head.
        filters: channels of every block.
        blocks: number of blocks; each halves frames and bands, rounding up.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, filters: int = 32, blocks: int = 3) -> None:
        super().__init__()
        before, _, bands = shape
        layers: list[nn.Module] = []
        for _ in range(blocks):
            convolution = nn.Conv2d(before, filters, 3, stride=2, padding=1)
            layers.append(nn.Sequential(convolution, BatchNorm(filters), nn.ReLU()))
            before, bands = filters, -(-bands // 2)
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(filters * bands, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, frames, bands] -> outputs [n, outputs]."""
        return self.head(self.blocks(x).mean(2).flatten(1))
