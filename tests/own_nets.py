"""Nets as users write them: for tests that load weights into a class or function by its dotted path."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.cifar_net import ResNet


class CifarResNet(ResNet):
    """As somebody has it who says nothing of how pictures are prepared."""

    def __init__(self, n: int, outputs: int = 10) -> None:
        super().__init__(n, outputs)
        del self.preparation


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
