"""What a step over two domains costs beside the two plain passes that it is made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.data.streams import Domain, Stream
from metatl.engines import Loop
from metatl.lab import record
from metatl.learners import State, Supervised
from metatl.models import LeNet
from metatl.net import Net
from metatl.objectives import DANN, TaskLoss
from metatl.profile.timing import interleaved, turns
from metatl.rules import SGD
from metatl.types import Batch, MetatlError

SHAPE, ROWS, LR = (3, 28, 28), 64, 0.01


def two_domains(names: Sequence[str], device: str, repeats: int, rows: int = ROWS) -> list[dict[str, Any]]:
    """T5: a step of DANN on 64 + 64 images of MNIST-M's shape, beside two plain passes forward and back.

    Both move the net's weights by SGD; where the adversary counts nothing they end at the same ones.
    """
    torch.manual_seed(0)
    net = Net.of(LeNet(SHAPE, 10).to(device))
    x = torch.rand(2, rows, *SHAPE, device=device)
    y = torch.arange(rows, device=device) % 10
    drawn = {"source": Batch(x[0], y), "target": Batch(x[1])}

    def step(weight: float) -> State:
        terms, streams = (TaskLoss(), DANN(weight)), dict[str, Stream](target=Domain(size=rows))
        learner = Supervised(2, rows, SGD(LR), terms, "constant", streams=streams)
        return learner.step(net, Loop(), learner.init(net, net.start()), drawn)[0]

    plain = functools.partial(_plain, net, x, y)
    found, wanted = step(0.0).transfer.params, plain()
    gap = max(float((found[name] - wanted[name]).abs().max()) for name in wanted)
    if not gap < 1e-5:
        raise MetatlError(f"T5: the plain step ends elsewhere, by {gap:.1e}; nothing is timed")
    calls: dict[str, Callable[[], object]] = {"ours": functools.partial(step, 1.0), "plain": plain}
    with record.bar("timing T5", turns(len(calls), repeats), "turn") as progress:
        seconds = interleaved(calls, repeats, 1.0, device, progress)
    return [
        {
            "name": "T5",
            "images": 2 * rows,
            "seconds": round(seconds["ours"], 4),
            "plain_seconds": round(seconds["plain"], 4),
            "ratio": round(seconds["ours"] / seconds["plain"], 3),
        }
    ]


def _plain(net: Net, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """The weights after a step of torch's own: a pass over each domain, of which the source's has a loss."""
    module = net.module
    module.zero_grad(set_to_none=True)
    source, target = module(x[0]), module(x[1])
    (F.cross_entropy(source, y) + 0.0 * target.sum()).backward()
    with torch.no_grad():
        return {name: p - LR * p.grad for name, p in module.named_parameters() if p.grad is not None}
