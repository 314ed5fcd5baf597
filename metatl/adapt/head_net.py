"""A net that is an output layer alone, for adaptations on features that are there already."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

from torch import nn

from metatl.net import Net
from metatl.types import Transfer


@lru_cache(maxsize=16)
def head_net(width: int, outputs: int) -> tuple[Net, Transfer]:
    """A net that is an output layer alone, of zeros: its inputs are features [n, width]. Made once."""
    layer = nn.Linear(width, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    net = Net.of(nn.Sequential(OrderedDict(head=layer)), head="head")
    return net, net.start()
