"""A norm layer that is a subclass with its own forward keeps that forward."""

import torch
from torch import nn
from torch.nn import functional as F

from metatl import Descent, Net, Personaliser

torch.set_num_threads(1)


class NormAct(nn.BatchNorm2d):  # a fused activation
    def forward(self, x):
        return F.relu(super().forward(x))


class ChannelsFirst(nn.LayerNorm):  # normalises axis 1 of [n, c, h, w]
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class OnePlus(nn.LayerNorm):  # its scale is 1 + weight
    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight + 1, self.bias, self.eps)


def off(norm, side):
    """Largest difference between the module in evaluation and its Net with frozen moments, no step taken."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), norm, nn.Flatten(), nn.Linear(6 * side * side, 3))
    module(torch.randn(16, 1, side, side))  # moves the running moments of a batch norm
    x = torch.randn(4, 1, side, side)
    right = module.eval()(x).detach()
    net = Net.of(module)
    mine = Personaliser(net, net.start(), Descent(steps=0, moments="frozen")).adapt(x, [0, 1, 2, 0])
    return round(float((mine.outputs(x) - right).abs().max()), 6)


found = {
    name: off(norm, 6)
    for name, norm in {
        "activation": NormAct(6),
        "channels first": ChannelsFirst(6),
        "own formula": OnePlus(6),
    }.items()
}
assert max(found.values()) < 1e-5, f"outputs are off from module.eval() by {found}; right is 0"
assert off(ChannelsFirst(6), 8) < 1e-5  # today a RuntimeError: maps of 8 by 8 do not end in 6 channels
