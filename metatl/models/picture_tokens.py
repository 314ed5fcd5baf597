"""Pictures as tokens, each by itself."""

from __future__ import annotations

from torch import Tensor, nn


class PictureTokens(nn.Module):
    """[n, channels, height, width] -> [n, width]: four 3x3 convolutions of stride 2, each normed, with ReLU.

    Norms are over a picture's own channels and places (group norm with one group, Wu & He 2018, arXiv
    1803.08494), so that a row's token is of that row alone: batch norms would let query rows see each other.

    Args:
        shape: (channels, height, width).
        width: of a token.
        filters: channels of every convolution.
    """

    def __init__(self, shape: tuple[int, ...], width: int, filters: int) -> None:
        super().__init__()
        channels, height, wide = shape
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [
                nn.Conv2d(channels, filters, 3, stride=2, padding=1),
                nn.GroupNorm(1, filters),
                nn.ReLU(),
            ]
            channels, height, wide = filters, (height + 1) // 2, (wide + 1) // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * height * wide, width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, width] of pictures [n, channels, height, width]."""
        return self.layers(x)
