"""A residual net of CIFAR-10, as its published weights want it: --net scripts.cifar_net.resnet20@FILE."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.types import MetatlError
from metatl.weights.files import held


class _Block(nn.Module):
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


class ResNet(nn.Module):
    """6 n + 2 layers for 32 x 32 pictures, shortcuts without weights (He et al. 2015, 1512.03385, 4.2)."""

    def __init__(self, n: int, outputs: int = 10) -> None:
        super().__init__()
        self.preparation = {"size": 32, "crop": 1.0}
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, width in enumerate((16, 32, 64)):
            before, stride = (width, 1) if stage == 0 else (width // 2, 2)
            rest = [_Block(width, width, 1) for _ in range(n - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(_Block(before, width, stride), *rest))
        self.linear = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            y = self.get_submodule(f"layer{stage}")(y)
        return self.linear(y.mean((2, 3)))


def resnet20() -> nn.Module:
    """Of 20 layers, 269,722 weights."""
    return ResNet(3)


class ResNet20(ResNet):
    """Of 20 layers, as configs make nets: for 32 x 32 pictures in colour, whatever the shape says."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(3, outputs)


class PublishedResNet20(ResNet20):
    """The same with the published weights of its body, for pictures whose values lie between 0 and 1.

    weights: the file; its output layer stays where there are as many outputs. MetatlError for one that holds
    no such net.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, weights: str) -> None:
        super().__init__(shape, outputs)
        found = held(Path(weights))
        tensors = max(found.values(), key=len)
        own = {name.removeprefix("module."): leaf for name, leaf in tensors.items()}
        if self.linear.weight.shape != own.get("linear.weight", self.linear.weight).shape:
            own = {**own, **{f"linear.{name}": leaf for name, leaf in self.linear.state_dict().items()}}
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            raise MetatlError(f"{weights} does not hold the weights of this ResNet-20") from error
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - self.get_buffer("mean")) / self.get_buffer("deviation"))
