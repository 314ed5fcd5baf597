"""Nets as users write them: for tests that load weights into a class or function by its dotted path."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm; the shortcut skips every other pixel and pads channels with 0."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.stride, self.padding = stride, (after - before) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(x + y)


class CifarResNet(nn.Module):
    """The residual net of 6 n + 2 layers for 32 x 32 pictures (He et al. 2015, arXiv 1512.03385, 4.2)."""

    def __init__(self, n: int, outputs: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, width in enumerate((16, 32, 64)):
            before, stride = (width, 1) if stage == 0 else (width // 2, 2)
            rest = [Block(width, width, 1) for _ in range(n - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(Block(before, width, stride), *rest))
        self.linear = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            y = self.get_submodule(f"layer{stage}")(y)
        return self.linear(y.mean((2, 3)))


def resnet20() -> nn.Module:
    return CifarResNet(3)


class Small(nn.Module):
    """Registered in another order than it is used; its own way of reading pictures."""

    preparation = {"size": 12, "mean": [0.5], "std": [0.25], "channels": 1}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 4)
        self.body = nn.Linear(4, 6)
        self.stem = nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(self.stem(x).mean((2, 3)))))


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        raise ValueError("a mistake of its own")


class Picky(nn.Module):
    """Reads pictures of 8 x 8 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


def wrapped() -> nn.Module:
    return nn.Sequential(CifarResNet(3))
