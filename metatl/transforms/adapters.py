"""Bottlenecks after the sublayers of a transformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.additions import Addition
from metatl.net import Net
from metatl.norm import norm_weights
from metatl.transforms.targets import check_pattern, dense, meant, nothing_meant
from metatl.transforms.transform import Transform, extended
from metatl.types import MetatlError, Params, Transfer

SUBLAYERS = (
    r"(attn\.(proj|c_proj|o_proj|out_proj|out_lin)|attention\.(output\.dense|out_lin|o)|self_attn\.o_proj"
    r"|mlp\.(fc2|c_proj|down_proj)|output\.dense|linear2|ffn\.lin2|wo)$"
)


@dataclass(frozen=True)
class Bottleneck(Addition):
    """y + W2 GELU(W1 y + b1) + b2 for a layer's output y [..., d]; W1 [m, d], W2 [d, m]."""

    layer: str

    def names(self) -> tuple[str, ...]:
        """W1, b1, W2 and b2."""
        places = (f"{self.layer}.adapter.down", f"{self.layer}.adapter.up")
        return tuple(f"{place}.{own}" for place in places for own in ("weight", "bias"))

    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """The output and what the bottleneck makes of it."""
        down, down_bias, up, up_bias = (tensors[name] for name in self.names())
        return output + F.linear(F.gelu(F.linear(output, down, down_bias)), up, up_bias)


@dataclass(frozen=True)
class Adapters(Transform):
    """y + W2 GELU(W1 y + b1) + b2 after every attention and feed-forward layer, before its residual sum.

    2 m d + d + m weights each; they, the norms' scales and shifts and the output layer move. W1 starts from
    a normal distribution cut at two deviations, W2 and the biases at 0, so that a net starts as it was (the
    published code draws W2 as it does W1: nearly the same). It is no linear map: merged it is a part of the
    module. Source: Houlsby et al. 2019, arXiv 1902.00751.

    Args:
        m: width of the bottleneck.
        targets: regular expression that is found in the names of the linear layers before a residual sum,
            or `sublayers`: those of common nets.
        deviation: of W1; the published code's.
        seed: of W1.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    m: int = 64
    targets: str = "sublayers"
    deviation: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a width below 1, a deviation that is none and a broken regular expression."""
        if self.m < 1 or self.deviation <= 0:
            raise MetatlError(
                f"Adapters: m {self.m}, deviation {self.deviation}; give 1 or more, and above 0"
            )
        check_pattern("Adapters", self.targets)

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with bottlenecks and the transfer with their weights."""
        layers = meant(net, dense, SUBLAYERS if self.targets == "sublayers" else self.targets)
        if not layers:
            raise nothing_meant("Adapters", net, dense, self.targets)
        generator, made = torch.Generator().manual_seed(self.seed), Params()
        for one in (added := [Bottleneck(name) for name in layers]):
            like = transfer.params[f"{one.layer}.weight"]
            down, down_bias, up, up_bias = one.names()
            start = nn.init.trunc_normal_(torch.empty(self.m, len(like)), generator=generator)
            made[down] = (self.deviation * start).to(like)
            made[down_bias], made[up_bias] = like.new_zeros(self.m), like.new_zeros(len(like))
            made[up] = like.new_zeros(len(like), self.m)
        return extended(net, transfer, added, made, moving=norm_weights(net.module))
