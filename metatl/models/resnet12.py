"""The twelve-layer residual net of the few-shot literature."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from metatl.norm import BatchNorm


class _Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        sizes = [before, after, after]
        self.convs = nn.ModuleList(nn.Conv2d(n, after, 3, padding=1, bias=False) for n in sizes)
        self.norms = nn.ModuleList(BatchNorm(after) for _ in sizes)
        self.shortcut = nn.Conv2d(before, after, 1, bias=False)
        self.shortcut_norm = BatchNorm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(y))
            if i < 2:
                y = F.leaky_relu(y, 0.1)
        return F.max_pool2d(F.leaky_relu(y + self.shortcut_norm(self.shortcut(x)), 0.1), 2)


class ResNet12(nn.Module):
    """Four residual blocks of three 3x3 convolutions, leaky ReLU, 2x2 max-pooling; global mean, linear head.

    Source: Oreshkin, Rodriguez & Lacoste 2018, arXiv 1805.10123; widths 64-160-320-640 of Lee et al. 2019,
    arXiv 1904.03758, without DropBlock.

    Args:
        shape: of one example, (channels, height, width); at least 16 x 16.
        outputs: units of the head.
        widths: channels of the four blocks.
    """

    def __init__(
        self, shape: tuple[int, ...], outputs: int, widths: tuple[int, ...] = (64, 160, 320, 640)
    ) -> None:
        super().__init__()
        sizes = [shape[0], *widths]
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(sizes)))
        self.head = nn.Linear(sizes[-1], outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", a=0.1, nonlinearity="leaky_relu")

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, height, width] -> outputs [n, outputs]."""
        return self.head(self.blocks(x).mean((2, 3)))
