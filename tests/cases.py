"""Nets, episodes and adaptations on which all engines must agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from metatl.adapt import Descent
from metatl.engines import Engine
from metatl.guides import RelativeGradNorm
from metatl.heads import Prototypes, Ridge, Zeros
from metatl.models import CNN, MLP, Conv1d, Conv4, ResNet12
from metatl.net import Net
from metatl.objectives import L2SP, KLAnchor, TaskLoss
from metatl.rules import SGD, Adam, AdamW
from metatl.types import Batch, Episode, Metrics, Transfer
from tests.outer import Outer, OuterGradient, outer_gradient

TASKS, WAY, ROWS = 3, 3, 6


class OnTokens(nn.Module):
    """An embedding in front of a net over [n, length, width]."""

    def __init__(self, body: nn.Module, width: int = 6, outputs: int = WAY) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, width)
        self.body = body
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.embedding(x)).mean(1))


class Recurrent(nn.Module):
    """A cell stepped along [n, length, width]; its hidden states."""

    def __init__(self, cell: type[nn.LSTMCell] | type[nn.GRUCell], width: int = 6) -> None:
        super().__init__()
        self.cell = cell(width, width)

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        seen = []
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
            seen.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(seen, 1)


class Attention(nn.Module):
    """A block of two-headed attention and a feed-forward part, written out."""

    def __init__(self, width: int = 6, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 8), nn.Linear(8, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(self.first(x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = ((q @ k.mT) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.second(x))))


def with_norm(norm: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), norm, nn.ReLU(), nn.Dropout(0.5), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, WAY),
    )  # fmt: skip


IMAGE, TOKENS = (1, 8, 8), (5,)

NETS: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "mlp": ((4,), lambda: MLP((4,), WAY, (8, 8))),
    "mlp, batch norm": ((4,), lambda: MLP((4,), WAY, (8,), "tanh", norm=True)),
    "cnn": ((1, 8, 8), lambda: CNN((1, 8, 8), WAY, (3, 4), 6)),
    "conv4, stride": ((1, 16, 16), lambda: Conv4((1, 16, 16), WAY, 4, "stride")),
    "conv4, pool": ((2, 16, 16), lambda: Conv4((2, 16, 16), WAY, 4, "pool")),
    "resnet12": ((1, 16, 16), lambda: ResNet12((1, 16, 16), WAY, (2, 3, 3, 4))),
    "conv1d": ((2, 24), lambda: Conv1d((2, 24), WAY, 4)),
    "group norm": (IMAGE, lambda: with_norm(nn.GroupNorm(2, 4))),
    "layer norm": (IMAGE, lambda: with_norm(nn.LayerNorm([4, 4, 4]))),
    "instance norm": (IMAGE, lambda: with_norm(nn.InstanceNorm2d(4, affine=True))),
    "foreign batch norm": (IMAGE, lambda: with_norm(nn.BatchNorm2d(4))),
    "embedding": (TOKENS, lambda: OnTokens(nn.Linear(6, 6))),
    "lstm cell": (TOKENS, lambda: OnTokens(Recurrent(nn.LSTMCell))),
    "gru cell": (TOKENS, lambda: OnTokens(Recurrent(nn.GRUCell))),
    "attention": (TOKENS, lambda: OnTokens(Attention())),
    "transformer layer": (
        TOKENS,
        lambda: OnTokens(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.1, batch_first=True)),
    ),
}


@dataclass(frozen=True)
class Case:
    """An adaptation, what is asked of it, and the guide it runs under ('ones', 'mixed' or 'per step')."""

    adaptation: Descent
    outer: Outer = Outer()
    guide: str = "ones"


def sgd(steps: int, lr: float = 0.3, **options: Any) -> Descent:
    return Descent(SGD(lr, **options), steps, moments="batch")


ADAM = Descent(Adam(0.03, eps_root=1e-4), 3, moments="batch")

MAIN: dict[str, Case] = {
    "sgd, 1 step": Case(sgd(1)),
    "sgd, 5 steps": Case(sgd(5, 0.1)),
    "momentum": Case(sgd(3, 0.1, momentum=0.9)),
    "adam": Case(ADAM),
    "guide": Case(sgd(2), guide="mixed"),
    "learned guide": Case(sgd(2), Outer(learn_guide=True), "mixed"),
    "kl anchor": Case(replace(sgd(2), terms=(KLAnchor(0.3),))),
}

OTHERS: dict[str, Case] = {
    "nesterov and decay": Case(sgd(3, 0.1, momentum=0.8, nesterov=True, weight_decay=0.1), guide="mixed"),
    "decoupled decay": Case(replace(ADAM, rule=AdamW(0.03, eps_root=1e-4, weight_decay=0.1))),
    "adam and a learned guide": Case(replace(ADAM, steps=2), Outer(learn_guide=True), "mixed"),
    "scaled gradients": Case(replace(ADAM, guided="gradient"), guide="mixed"),
    "guide by step": Case(sgd(3, 0.1), Outer(learn_guide=True), "per step"),
    "guide from support": Case(replace(sgd(2), guide_from_support=RelativeGradNorm())),
    "first order": Case(sgd(3), Outer("first_order")),
    "first order, learned guide": Case(sgd(3), Outer("first_order", learn_guide=True), "mixed"),
    "every step counts": Case(sgd(2), Outer(step_weights=torch.tensor([0.2, 0.3, 0.5]))),
    "prototypes": Case(replace(sgd(2, 0.1), head=Prototypes())),
    "prototypes, no step": Case(replace(sgd(0), head=Prototypes())),
    "ridge": Case(replace(sgd(2, 0.1), head=Ridge())),
    "zeros": Case(replace(sgd(2), head=Zeros())),
    "anchored weights": Case(replace(sgd(2, 0.1), terms=(TaskLoss(), L2SP(0.5, 0.1)))),
    "mini-batches": Case(replace(sgd(3, 0.1), batch_size=4, terms=(KLAnchor(0.3),))),
    "support moments": Case(replace(sgd(2), moments="support")),
    "frozen moments": Case(replace(sgd(2, 0.1), moments="frozen")),
}


def net_of(name: str, dtype: torch.dtype = torch.float64) -> tuple[Net, tuple[int, ...]]:
    """The net of this name with weights off their usual zeros and ones, and the shape of an example."""
    shape, made = NETS[name]
    torch.manual_seed(0)
    net = Net.of(made().to(dtype))
    with torch.no_grad():
        for p in net.module.parameters():
            p.add_(0.1 * torch.randn_like(p))
        for b in net.module.buffers():
            b.add_(0.1 * torch.rand_like(b))
    return net, shape


def episodes_for(shape: tuple[int, ...], tasks: int = TASKS, dtype: torch.dtype = torch.float64) -> Episode:
    """Random support and query sets: images, vectors, or tokens."""

    def rows() -> Batch:
        size = (tasks, ROWS, *shape)
        x = torch.randint(11, size) if shape == TOKENS else torch.randn(size, dtype=dtype)
        return Batch(x, torch.arange(WAY).repeat(tasks, ROWS // WAY))

    return Episode(rows(), rows())


def carried(net: Net, guide: str) -> Transfer:
    """The net's weights under a guide of this kind; mixed: a number, real values, a mask, a constant."""
    start = net.start()
    if guide == "ones":
        return start
    kinds: list[Callable[[Tensor], Tensor]] = [
        lambda p: torch.tensor(0.5, dtype=p.dtype),
        torch.rand_like,
        lambda p: (torch.rand_like(p) > 0.5).to(p.dtype),
        lambda p: torch.full_like(p, 0.7),
    ]
    mixed = {name: kinds[i % len(kinds)](p) for i, (name, p) in enumerate(start.params.items())}
    if guide == "per step":
        mixed = {
            name: torch.stack([g.expand_as(start.params[name]) * k for k in (1.0, 0.5)])
            for name, g in mixed.items()
        }
    return Transfer(start.params, mixed, start.buffers)


def gradients(engine: Engine, name: str, case: Case) -> tuple[OuterGradient, Metrics]:
    """The outer gradient of a case on a net, the same inputs for every engine."""
    net, shape = net_of(name)
    transfer, episodes = carried(net, case.guide), episodes_for(shape)
    return outer_gradient(engine, net, transfer, case.adaptation, episodes, case.outer)


def worst(ours: OuterGradient, theirs: OuterGradient) -> float:
    """The largest difference of any weight or guide, relative to the largest gradient of its kind."""
    found = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        assert list(mine) == list(other)
        if other:
            largest = max(float(g.abs().max()) for g in other.values())
            assert largest > 0, "nothing to compare"
            found = max(found, *(float((mine[n] - g).abs().max()) / largest for n, g in other.items()))
    return found


def assert_same(engine: Engine, reference: Engine, name: str, case: Case, tolerance: float = 1e-8) -> None:
    """Same gradient, same metrics."""
    ours, metrics = gradients(engine, name, case)
    theirs, expected = gradients(reference, name, case)
    assert worst(ours, theirs) < tolerance
    assert list(metrics) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(metrics[key], value, rtol=1e-8, atol=1e-10)
