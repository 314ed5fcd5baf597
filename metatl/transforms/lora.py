"""Low-rank additions to linear layers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from metatl.additions import Addition
from metatl.net import Net
from metatl.transforms.transform import Transform
from metatl.types import MetatlError, Params, Transfer


@dataclass(frozen=True)
class LowRank(Addition):
    """output + scale * B (A x), with A [r, in] and B [out, r], at a linear layer or a 1x1 convolution."""

    layer: str
    scale: float

    @property
    def down(self) -> str:
        """The name of A."""
        return f"{self.layer}.lora_A.weight"

    @property
    def up(self) -> str:
        """The name of B."""
        return f"{self.layer}.lora_B.weight"

    def names(self) -> tuple[str, ...]:
        """A and B."""
        return self.down, self.up

    def __call__(self, params: Params, x: Tensor, output: Tensor) -> Tensor:
        """Two thin products; the layer's own weight is not touched."""
        down, up = params[self.down], params[self.up]
        if down.dim() > 2:
            return output + self.scale * F.conv2d(F.conv2d(x, down), up)
        return output + self.scale * F.linear(F.linear(x, down), up)

    def product(self, params: Params) -> Tensor:
        """scale * B A, in the shape of the layer's weight."""
        down, up = params[self.down], params[self.up]
        return self.scale * (up.flatten(1) @ down.flatten(1)).view(*up.shape[:2][:1], *down.shape[1:])


@dataclass(frozen=True)
class LoRA(Transform):
    """W x + scale * B (A x): W stays, A and B move, B starts at 0.

    scale = alpha / r, or alpha / sqrt(r) (`rank_stabilised`). A starts uniform in +-1 / sqrt(in), as peft has
    it. Biases, norms and all else stay as well, as weights with requires_grad=False do: under every guide
    and in every learner. The output layer moves as before. Sources: Hu et al. 2021,
    arXiv 2106.09685; Kalajdzievski 2023, arXiv 2312.03732.

    Args:
        r: rank.
        alpha: numerator of the scale.
        targets: `all-linear` (every linear layer and 1x1 convolution but the output layer), or a regular
            expression that is found in the names of the layers meant.
        scaling: what alpha is divided by.
        seed: of A.
    """

    r: int = 8
    alpha: float = 8.0
    targets: str = "all-linear"
    scaling: Literal["standard", "rank_stabilised"] = "standard"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a rank below 1 and a broken regular expression."""
        if self.r < 1:
            raise MetatlError(f"LoRA: r is {self.r}; give a rank of 1 or more")
        try:
            re.compile(self.targets)
        except re.error as error:
            raise MetatlError(f"LoRA: '{self.targets}' is not a regular expression ({error})") from error

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with additions and the transfer with A and B; everything but them and the head is frozen.

        Raises MetatlError where no layer is meant, and where one has such an addition already.
        """
        scale = self.alpha / (self.r if self.scaling == "standard" else math.sqrt(self.r))
        layers = [name for name, layer in net.module.named_modules() if self._meant(net, name, layer)]
        if not layers:
            known = [name for name, layer in net.module.named_modules() if _takes(layer)]
            raise MetatlError(
                f"LoRA: no layer is meant by targets '{self.targets}'; linear layers are "
                f"{', '.join(known[:8]) or 'none'}"
            )
        twice = next((name for name in layers if f"{name}.lora_A.weight" in transfer.params), None)
        if twice is not None:
            raise MetatlError(
                f"LoRA: layer '{twice}' has such an addition already, from a start or another LoRA"
            )
        generator = torch.Generator().manual_seed(self.seed)
        added: Params = {}
        for name in layers:
            weight = transfer.params[f"{name}.weight"]
            down = torch.rand(self.r, *weight.shape[1:], generator=generator) * 2 - 1
            added[f"{name}.lora_A.weight"] = (down / math.sqrt(weight.shape[1])).to(weight)
            added[f"{name}.lora_B.weight"] = weight.new_zeros(len(weight), self.r, *weight.shape[2:])
        still = frozenset(name for name in transfer.params if not net.is_head(name))
        additions = net.additions + tuple(LowRank(name, scale) for name in layers)
        new = replace(net, additions=additions, plain=False, frozen=net.frozen | still)
        guide = new.held(transfer.guide) | {name: torch.ones_like(leaf) for name, leaf in added.items()}
        return new, replace(transfer, params={**transfer.params, **added}, guide=guide)

    def _meant(self, net: Net, name: str, layer: nn.Module) -> bool:
        if not _takes(layer) or name == net.head:
            return False
        return self.targets == "all-linear" or re.search(self.targets, name) is not None

    def merge(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """W + scale * B A in place of the additions: the same function, and every guide of W is 1 again."""
        params, guide = dict(transfer.params), dict(transfer.guide)
        mine = tuple(one for one in net.additions if isinstance(one, LowRank))
        for one in mine:
            name = f"{one.layer}.weight"
            params[name] = params[name] + one.product(params)
            guide[name] = torch.ones_like(params[name])
            for gone in one.names():
                del params[gone], guide[gone]
        rest = tuple(one for one in net.additions if one not in mine)
        still = frozenset(name for name, p in net.module.named_parameters() if not p.requires_grad)
        new = replace(net, additions=rest, frozen=still)
        return new, replace(transfer, params=params, guide=new.held(guide))


def _takes(layer: nn.Module) -> bool:
    """Whether a layer is linear in its input and called as a module."""
    if isinstance(layer, nn.Linear):
        return not isinstance(layer, NonDynamicallyQuantizableLinear)
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.groups == 1
        and not any([layer.stride != (1, 1), layer.padding != (0, 0)])
    )
