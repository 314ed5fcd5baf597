"""Which blocks of a pre-trained net are taken over."""

from __future__ import annotations

from torch import nn

from metatl.guides.guide import by_depth
from metatl.net import Net
from metatl.transferring.backbone import Backbone


def taken_over(backbone: Backbone, share: float) -> nn.Module:
    """The net with the pre-trained weights of its first blocks, as many as this share of them, 0 to 1.

    The blocks above, and the output layer, start at random, buffers (running moments) as the layers that
    they belong to. Source: Yosinski et al. 2014, arXiv 1411.1792.
    """
    if share >= 1:
        return backbone.module
    fresh = backbone.random()
    net = Net.of(backbone.module, backbone.head, backbone.example())
    blocks = by_depth(net, dict(net.module.named_parameters()), "block")
    kept = {name for block in blocks[: round(share * (len(blocks) - 1))] for name in block}
    layers = {name.rpartition(".")[0] for name in kept}
    own = {name for name, _ in backbone.module.named_parameters()}
    state = {
        name: leaf
        for name, leaf in backbone.module.state_dict().items()
        if name in kept or (name not in own and name.rpartition(".")[0] in layers)
    }
    fresh.load_state_dict(state, strict=False)
    return fresh
