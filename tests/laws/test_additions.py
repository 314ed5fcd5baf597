"""Added weights of every kind: the identity at their start, learned alone, merged without change."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl import Descent, Net
from metatl.additions import attached
from metatl.engines import Batched, Loop
from metatl.engines.engine import Engine
from metatl.norm import Rows, moments_from
from metatl.rules import SGD
from metatl.testing import check_transform
from metatl.transforms import IA3, Adapters, DoRA, LoRA, ParallelAdapters, SeriesAdapters, transformed
from metatl.transforms.transform import Transform
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.outer import Outer, outer_gradient


class Block(nn.Module):
    """Convolutions with norms, then a block of attention and a feed-forward layer, on [n, 2, 4, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6)
        self.deep, self.mix = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.norm, self.k, self.v, self.proj = nn.LayerNorm(6), *(nn.Linear(6, 6) for _ in range(3))
        self.linear1, self.linear2 = nn.Linear(6, 8), nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(self.deep(self.bn(self.conv(x)).relu()).relu()).flatten(2).transpose(1, 2)
        y = self.norm(x)
        x = x + self.proj((self.k(y) @ y.transpose(1, 2)).softmax(-1) @ self.v(y))
        return self.head((x + self.linear2(self.linear1(x).relu())).mean(1))


NORMS = {"bn.weight", "bn.bias", "norm.weight", "norm.bias"}
KINDS: dict[str, tuple[Transform, set[str], set[str]]] = {
    "lora": (LoRA(2), {"mix", "k", "v", "proj", "linear1", "linear2"}, set()),
    "rslora": (LoRA(2, 2.0, "linear", "rank_stabilised"), {"linear1", "linear2"}, set()),
    "lora of kernels": (LoRA(2, targets="conv|deep|mix", kernels=True), {"conv", "deep", "mix"}, set()),
    "dora": (DoRA(2), {"mix", "k", "v", "proj", "linear1", "linear2"}, set()),
    "ia3": (IA3(), {"k", "v", "linear2"}, set()),
    "ia3 anywhere": (IA3("mix|proj", "linear1"), {"mix", "proj", "linear1"}, set()),
    "adapters": (Adapters(3, "(proj|linear2)$", 0.3), {"proj", "linear2"}, NORMS),
    "parallel": (ParallelAdapters(), {"conv", "deep"}, NORMS),
    "series": (SeriesAdapters("deep"), {"deep"}, NORMS),
}
each = pytest.mark.parametrize("kind", KINDS)


def made() -> tuple[Net, Transfer]:
    torch.manual_seed(0)
    net = Net.of(Block().double())
    start = net.start()
    start.buffers["bn.running_mean"].uniform_(-0.3, 0.3)
    start.buffers["bn.running_var"].uniform_(0.5, 2.0)
    return net, start


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, 2, 4, 4, dtype=torch.float64)


@each
def test_it_is_the_identity_at_its_start_and_merges_without_change(kind: str) -> None:
    net, start = made()
    check_transform(KINDS[kind][0], net, start, rows(5))


@each
def test_what_is_added_and_what_moves(kind: str) -> None:
    transform, layers, norms = KINDS[kind]
    plain, start = made()
    net, carried = transform(plain, start)
    assert {one.layer for one in net.additions} == layers
    fitted = Descent(SGD(0.3), 3, moments="batch")(net, carried, Batch(rows(5), torch.arange(5) % 3))
    moved = {name for name, leaf in fitted.items() if not torch.equal(leaf, carried.params[name])}
    base = moved & start.params.keys()
    assert base == norms | {"head.weight", "head.bias"}
    assert all(any(name in moved for name in one.names()) for one in net.additions)
    with pytest.raises(MetatlError, match="has such an addition already"):
        transform(net, carried)


@each
def test_attached_to_the_module_they_are_the_same_function_alone(kind: str) -> None:
    """Whether absorbed or attached, a merged module gives the outputs by its own forward, and in a copy."""
    transform = KINDS[kind][0]
    net, carried = transform(*made())
    steps = {n: p + 0.2 * carried.guide[n] * torch.randn_like(p) for n, p in carried.params.items()}
    carried = replace(carried, params=steps)
    x = rows(5)
    merged, whole = transform.merge(net, carried)
    kept = {"adapters", "series"} & {kind}
    assert bool(attached(merged.module)) == bool(kept)
    module = merged.module
    module.load_state_dict({**whole.params, **whole.buffers}, strict=False)
    with moments_from(Rows(frozen=True)):
        torch.testing.assert_close(module(x), net(steps, carried.buffers, x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(copy.deepcopy(module)(x), module(x))
    assert not merged.frozen


@each
def test_maml_through_it_is_exact_on_every_engine(kind: str) -> None:
    """Second order under vmap and recorded, as in a loop."""
    net, carried = KINDS[kind][0](*made())
    moved = {n: p + 0.1 * carried.guide[n] * torch.randn_like(p) for n, p in carried.params.items()}
    carried = replace(carried, params=moved)
    y = torch.arange(6).repeat(2, 1) % 3
    episodes = Episode(Batch(rows(2, 6), y), Batch(rows(2, 6), y))
    adaptation = Descent(SGD(0.2), 2, moments="batch")

    def gradient(engine: Engine) -> Any:
        return outer_gradient(engine, net, carried, adaptation, episodes, Outer())[0].params

    loop = gradient(Loop())
    assert any(name in loop for one in net.additions for name in one.names())
    recorded = (Batched(record=True),) if kind in ("dora", "ia3", "series") else ()
    for engine in (Batched(), *recorded):
        for found in (gradient(engine), gradient(engine)):
            for name, leaf in loop.items():
                torch.testing.assert_close(found[name], leaf, rtol=1e-8, atol=1e-10)


def test_numbers_of_weights() -> None:
    net, start = made()
    counts = {
        "lora": sum(2 * (a + b) for a, b in [(6, 6)] * 4 + [(6, 8)] * 2),
        "ia3": 6 + 6 + 8,
        "adapters": 2 * (2 * 3 * 6 + 6 + 3),
        "parallel": 2 * 6 + 6 * 6,
        "series": 6 * 6 + 2 * 6,
    }
    counts["dora"] = counts["lora"] + 6 * 4 + 8 + 6
    for kind, count in counts.items():
        net, carried = KINDS[kind][0](*made())
        own = {name for one in net.additions for name in one.names()} & carried.params.keys()
        assert sum(carried.params[name].numel() for name in own) == count, kind
        assert own == carried.params.keys() - start.params.keys()


def test_dropout_acts_in_training_alone() -> None:
    for transform in (LoRA(2, dropout=0.5), DoRA(2, dropout=0.5)):
        net, carried = transform(*made())
        params = {n: torch.randn_like(p) if "lora_B" in n else p for n, p in carried.params.items()}
        x = rows(5)
        plain = net(params, carried.buffers, x)
        assert torch.equal(net(params, carried.buffers, x), plain)
        with net.training():
            one, two = (net(params, carried.buffers, x) for _ in range(2))
        assert not torch.equal(one, two)
        with pytest.raises(MetatlError, match="dropout is 1"):
            type(transform)(2, dropout=1.0)


def test_a_series_adapter_starts_with_the_moments_that_its_output_has() -> None:
    net, start = made()
    _, carried = SeriesAdapters("^conv$")(net, start)
    for own in ("running_mean", "running_var"):
        assert torch.equal(carried.buffers[f"conv.series.norm.{own}"], start.buffers[f"bn.{own}"])
    _, carried = SeriesAdapters("deep", "he_normal")(net, start)
    assert not bool(carried.buffers["deep.series.norm.running_mean"].any())
    assert bool(carried.params["deep.series.conv.weight"].any())


def test_two_transforms_side_by_side_and_merged() -> None:
    both = LoRA(2, targets="linear"), ParallelAdapters()
    _, carried = transformed(both, *made())
    assert bool(carried.guide["linear1.lora_A.weight"].all())
    assert bool(carried.guide["norm.weight"].all())
    assert not bool(carried.guide["k.weight"].any())
    check_transform(both[1], *both[0](*made()), rows(4))


@pytest.mark.parametrize("transform", [IA3(), Adapters(), ParallelAdapters(), SeriesAdapters()], ids=str)
def test_a_net_without_such_layers_is_one_line(transform: Transform) -> None:
    net = Net.of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    with pytest.raises(MetatlError, match=f"{type(transform).__name__}: no layer is meant"):
        transform(net, net.start())


@pytest.mark.parametrize("transform", [DoRA(2), DoRA(2, kernels=True)], ids=str)
def test_rows_of_zeros_stay_finite(transform: Transform) -> None:
    """Dead rows, and layers that start at 0, as the last ones of residual blocks: |V| is 0 there, as m is."""
    module, x = Block().double().eval(), torch.randn(5, 2, 4, 4).double()
    nn.init.zeros_(module.proj.weight)
    module.deep.weight.data[2] = 0
    net, start = transformed([transform], (plain := Net.of(module)), plain.start())
    frozen = Rows(frozen=True)
    with moments_from(frozen):
        torch.testing.assert_close(net(start.params, start.buffers, x), module(x))
    fitted = Descent(SGD(0.1), 3, moments="frozen")(net, start, Batch(x, torch.arange(5) % 3))
    assert all(bool(leaf.isfinite().all()) for leaf in fitted.values())
    assert float(fitted["proj.lora_B.weight"].norm()) > 0
    with moments_from(frozen):
        merged, whole = transform.merge(net, replace(start, params=fitted))
        torch.testing.assert_close(
            merged(whole.params, whole.buffers, x), net(fitted, start.buffers, x), rtol=1e-9, atol=1e-12
        )
