"""Layers that nobody rerouted: batched, as it stands and recorded, is the loop, or says in a line why not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from metatl.adapt import Descent
from metatl.engines import Batched, Loop
from metatl.engines.fast.stock import batchable
from metatl.net import Net
from metatl.rules import SGD
from metatl.types import Batch, Episode, MetatlError
from tests.outer import Outer, outer_gradient


class Tokens(nn.Module):
    """A recurrent layer over [n, 2, 3]; its last output."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        width = layer.proj_size or layer.hidden_size
        self.head = nn.Linear(width * (2 if layer.bidirectional else 1), 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x.view(-1, 2, 3))[0][:, -1])


class Standardised(nn.Module):
    """A convolution whose filters are standardised, and a weight of no module's kind."""

    def __init__(self) -> None:
        super().__init__()
        self.filters, self.scale = nn.Parameter(torch.randn(4, 1, 3, 3)), nn.Parameter(torch.rand(4, 1, 1))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        filters = self.filters - self.filters.mean((1, 2, 3), keepdim=True)
        return self.head(F.silu(F.conv2d(x, filters / filters.std()) * self.scale).amax((2, 3)))


class Tied(nn.Module):
    """A layer that is used twice, one that is not used, and writing in place."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.twice(torch.tanh(self.twice(x))).clone()
        h[:, 0] = 2 * h[:, 1]
        return self.head(F.relu_(h))


def image(*layers: nn.Module) -> nn.Module:
    body = nn.Sequential(*layers, nn.Flatten())
    return nn.Sequential(*body, nn.Linear(body(torch.randn(2, 1, 8, 8)).shape[1], 3))


def conv(**options: object) -> nn.Module:
    return nn.Conv2d(1, 4, 3, **options)  # pyright: ignore[reportArgumentType]


IMAGE, ROW = (1, 8, 8), (6,)
ODD: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "transposed": (IMAGE, lambda: image(nn.ConvTranspose2d(1, 3, 3, 2, 1, 1), nn.ReLU())),
    "dilated": (IMAGE, lambda: image(conv(dilation=2, padding=2, padding_mode="circular"), nn.ELU())),
    "grouped": (IMAGE, lambda: image(conv(), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4))),
    "norm, then relu6": (IMAGE, lambda: image(conv(bias=False), nn.BatchNorm2d(4), nn.ReLU6())),
    "norm in front": (IMAGE, lambda: image(nn.BatchNorm2d(1), conv(), nn.Mish())),
    "other pooling": (
        IMAGE,
        lambda: image(
            conv(padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(2)
        ),
    ),
    "a pool with a branch": (IMAGE, lambda: image(conv(), nn.Softplus(), nn.LPPool2d(2, 2))),
    "resized": (IMAGE, lambda: image(conv(), nn.Upsample(scale_factor=2), nn.PixelShuffle(2))),
    "standardised": (IMAGE, Standardised),
    "weight norm": (ROW, lambda: nn.Sequential(weight_norm(nn.Linear(6, 6)), nn.ReLU(), nn.Linear(6, 3))),
    "rms norm": (ROW, lambda: nn.Sequential(nn.Linear(6, 6), nn.RMSNorm(6), nn.PReLU(), nn.Linear(6, 3))),
    "hard": (ROW, lambda: nn.Sequential(nn.Linear(6, 8), nn.Hardtanh(), nn.Hardswish(), nn.Linear(8, 3))),
    "tied": (ROW, Tied),
    "lstm": (ROW, lambda: Tokens(nn.LSTM(3, 4, batch_first=True, bidirectional=True, proj_size=2))),
    "gru": (ROW, lambda: Tokens(nn.GRU(3, 4, batch_first=True, bias=False))),
    "rnn": (ROW, lambda: Tokens(nn.RNN(3, 4, 2, batch_first=True, nonlinearity="relu"))),
}  # fmt: skip


def case(name: str, made: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[Net, Episode]:
    torch.manual_seed(len(name))
    net = Net.of(made().double())
    with torch.no_grad():
        for p in net.module.parameters():
            p.add_(0.1 * torch.randn_like(p))

    def rows() -> Batch:
        return Batch(torch.randn(3, 6, *shape).double(), torch.arange(3).repeat(3, 2))

    return net, Episode(rows(), rows())


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # where torch itself loops over tasks
@pytest.mark.parametrize("name", ODD)
def test_batched_is_the_loop(name: str) -> None:
    shape, made = ODD[name]
    net, episodes = case(name, made, shape)
    adaptation = Descent(SGD(0.1), 1, moments="support")
    for outer, engines in (
        (Outer(), (Batched(), Batched(record=True))),
        (Outer("first_order"), (Batched(),)),
    ):
        wanted, _ = outer_gradient(Loop(), net, net.start(), adaptation, episodes, outer)
        largest = max(float(leaf.abs().max()) for leaf in wanted.params.values())
        assert largest > 0
        for engine in engines:
            found, _ = outer_gradient(engine, net, net.start(), adaptation, episodes, outer)
            for leaf, expected in wanted.params.items():
                assert (found.params[leaf] - expected).abs().max() <= 1e-8 * largest, (engine, leaf)


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(2, 4, 2, bidirectional=True),
        nn.LSTM(2, 4, proj_size=3, batch_first=True),
        nn.GRU(2, 4, 2, bidirectional=True, batch_first=True),
        nn.GRU(2, 4, bias=False),
        nn.RNN(2, 4, 2),
        nn.RNN(2, 4, nonlinearity="relu"),
    ],
    ids=str,
)
def test_recurrent_layers_are_torchs(layer: nn.RNNBase) -> None:
    layer, x = layer.double(), torch.randn(5, 3, 2).double()
    first = [t.double() for t in _states(layer, x)]
    given = (tuple(first) if len(first) > 1 else first[0],)
    for hx in ((), given):
        theirs, their_states = layer(x, *hx)
        with batchable():
            ours, our_states = layer(x, *hx)
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(our_states, their_states, rtol=1e-12, atol=1e-12)


def _states(layer: nn.RNNBase, x: Tensor) -> list[Tensor]:
    n, count = x.shape[0 if layer.batch_first else 1], layer.num_layers * (2 if layer.bidirectional else 1)
    widths = [layer.proj_size or layer.hidden_size]
    widths += [layer.hidden_size] if layer.mode == "LSTM" else []
    return [torch.randn(count, n, width) for width in widths]


class Bag(nn.Module):
    """A layer that torch cannot differentiate twice."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(9, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bag((x.abs() * 3).long().clamp(0, 8)))


@pytest.mark.parametrize("layer", [nn.LSTM(2, 4), nn.GRU(2, 4)], ids=str)
def test_packed_sequences_are_one_line(layer: nn.RNNBase) -> None:
    packed = nn.utils.rnn.pack_sequence([torch.randn(3, 2), torch.randn(2, 2)])
    with (
        pytest.raises(MetatlError, match="packed sequences cannot be run for many tasks at once"),
        batchable(),
    ):
        layer(packed)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("engine", [Loop(), Batched(), Batched(record=True)], ids=str)
def test_what_torch_cannot_differentiate_twice_is_one_line(engine: Loop | Batched) -> None:
    net, episodes = case("bag", Bag, ROW)
    with pytest.raises(MetatlError, match=r"no derivative of _embedding_bag_backward.*unroll: first_order"):
        outer_gradient(engine, net, net.start(), Descent(SGD(0.1), 1), episodes, Outer())


def test_what_cannot_be_recorded_is_not_compiled() -> None:
    net, episodes = case("bag", ODD["a pool with a branch"][1], IMAGE)
    with pytest.raises(MetatlError, match=r"cannot be recorded .*leave `compile` out"):
        outer_gradient(Batched(compile=True), net, net.start(), Descent(SGD(0.1), 1), episodes, Outer())
