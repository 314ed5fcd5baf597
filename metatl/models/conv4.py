"""The four-block convolutional net of the few-shot literature."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from metatl.norm import BatchNorm


class Conv4(nn.Module):
    """Four blocks of 3x3 convolution, batch norm, ReLU, and a linear head.

    form `stride`: stride 2, same padding, global mean over space (published MAML on Omniglot); form `pool`:
    stride 1 and 2x2 max-pooling, flattened (miniImageNet, ProtoNet). Source: Vinyals et al. 2016, arXiv
    1606.04080.

    Args:
        shape: of one example, (channels, height, width).
        outputs: units of the head.
        filters: channels of every block.
        form: how a block halves the image.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        filters: int = 64,
        form: Literal["stride", "pool"] = "stride",
    ) -> None:
        super().__init__()
        channels, height, width = shape
        blocks: list[nn.Module] = []
        for i in range(4):
            before = channels if i == 0 else filters
            stride = 2 if form == "stride" else 1
            # A bias before a batch norm cancels out; published nets carry it, and so does this one.
            layers = [nn.Conv2d(before, filters, 3, stride=stride, padding=1), BatchNorm(filters), nn.ReLU()]
            blocks.append(nn.Sequential(*layers, *([nn.MaxPool2d(2)] if form == "pool" else [])))
        self.blocks = nn.Sequential(*blocks)
        self.pool = form == "pool"
        features = filters * (height // 16) * (width // 16) if self.pool else filters
        self.head = nn.Linear(features, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias if module.bias is not None else module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, channels, height, width] -> outputs [n, outputs]."""
        x = self.blocks(x)
        return self.head(x.flatten(1) if self.pool else x.mean((2, 3)))
