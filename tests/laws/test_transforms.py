"""Transforms: the identity at their start, merged without change, and learned through like any net."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from metatl import Descent, Net, tree
from metatl.engines import Batched, Loop
from metatl.heads import Prototypes
from metatl.rules import SGD
from metatl.transforms import IA3, Adapters, DoRA, LoRA, Quantised, told, transformed
from metatl.transforms.transform import Transform
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.outer import Outer, outer_gradient


class Block(nn.Module):
    """A pre-norm attention block with a 1x1 convolution, on [n, 4, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(6), nn.Linear(6, 18), nn.Linear(6, 6)
        self.mix = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v))
        return self.head(self.mix(x.unsqueeze(-1)).squeeze(-1).mean(1))


def made(transform: LoRA) -> tuple[Net, Transfer, Net, Transfer]:
    torch.manual_seed(0)
    net = Net.of(Block().double())
    return net, net.start(), *transformed([transform], net, net.start())


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, 4, 6, dtype=torch.float64)


@pytest.mark.parametrize("transform", [LoRA(), LoRA(2, 3.0, "qkv", "rank_stabilised")])
def test_lora_is_the_identity_at_its_start_and_merges_without_change(transform: LoRA) -> None:
    plain, start, net, carried = made(transform)
    x = rows(5)
    assert torch.equal(net(carried.params, {}, x), plain(start.params, {}, x))
    fitted = Descent(SGD(0.3), 5)(net, carried, Batch(x, torch.arange(5) % 3))
    still = [name for name in start.params if not plain.is_head(name)]
    assert all(torch.equal(fitted[name], start.params[name]) for name in still)
    moved = [name for name in fitted if "lora_B" in name]
    assert moved
    assert all(bool(fitted[name].any()) for name in moved)
    said, kept = net(fitted, {}, x), {name: leaf.clone() for name, leaf in fitted.items()}
    merged, after = transform.merge(net, Transfer(fitted, carried.guide))
    assert after.params.keys() == start.params.keys()
    torch.testing.assert_close(merged(after.params, {}, x), said, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(fitted[name], leaf) for name, leaf in kept.items()), "the first pair is unmerged"
    assert torch.equal(net(fitted, {}, x), said)


class Shared(nn.Module):
    """Two layers of one weight, and one whose weight is computed of others."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.free, self.head = (nn.Linear(6, 6) for _ in range(4))
        self.two.weight = self.one.weight
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.normed(self.free(self.two(self.one(x)))))


@pytest.mark.parametrize(
    "transform",
    [
        *(kind(targets=targets) for kind in (LoRA, DoRA, Quantised) for targets in ("one", "two", "normed")),
        *(Adapters(targets=targets) for targets in ("one", "two", "normed")),
        IA3(inputs="one", outputs="normed"),
    ],
    ids=repr,
)
def test_a_weight_of_two_layers_or_of_none_takes_no_addition(transform: Transform) -> None:
    """Merged into one it would act in both."""
    net = Net.of(Shared(), "head")
    with pytest.raises(MetatlError, match=r"no layer is meant by .*(one|two|normed)"):
        transform(net, net.start())
    transform = LoRA(2)
    new, start = transform(net, net.start())
    assert told(new) == "at 1 of 4 layers: free; none at one, two, normed"
    x, params = torch.randn(5, 6), {n: torch.randn_like(p) for n, p in start.params.items()}
    merged, done = transform.merge(new, replace(start, params=params))
    torch.testing.assert_close(merged(done.params, done.buffers, x), new(params, start.buffers, x))


def test_which_layers() -> None:
    net, start, _, carried = made(LoRA())
    layers = {name.split(".lora_")[0] for name in carried.params if "lora" in name}
    assert layers == {"qkv", "out", "mix"}
    only = LoRA(targets="^out$")(net, start)[1]
    assert {name.split(".lora_")[0] for name in only.params if "lora" in name} == {"out"}
    with pytest.raises(MetatlError, match="qkv, out"):
        LoRA(targets="nothing")(net, start)
    with pytest.raises(MetatlError, match="rank"):
        LoRA(0)


@pytest.mark.parametrize("head", [None, Prototypes()])
def test_maml_through_lora_is_exact_on_every_engine(head: Prototypes | None) -> None:
    """Second order through additions under vmap: batched, recorded and loop agree, and finite differences."""
    _, _, net, carried = made(LoRA(2))
    torch.manual_seed(1)
    params = {n: p + 0.1 * torch.randn_like(p) if "lora_B" in n else p for n, p in carried.params.items()}
    carried = Transfer(params, carried.guide)
    y = torch.arange(6).repeat(3, 1) % 3
    episodes = Episode(Batch(rows(3, 6), y), Batch(rows(3, 6), y))
    adaptation = Descent(SGD(0.4), 2) if head is None else Descent(SGD(0.4), 2, head)
    loop, _ = outer_gradient(Loop(), net, carried, adaptation, episodes, Outer())
    for engine in (Batched(), Batched(record=True)):
        for _ in range(2):
            batched, _ = outer_gradient(engine, net, carried, adaptation, episodes, Outer())
            for name, leaf in loop.params.items():
                torch.testing.assert_close(batched.params[name], leaf, rtol=1e-9, atol=1e-11)
    assert any("lora_A" in name for name in loop.params)
    assert not any(name in net.frozen for name in loop.params), "the base is no variable"
    way = {n: torch.randn_like(carried.params[n]) for n in loop.params}

    def loss(h: float) -> float:
        moved = tree.add({n: carried.params[n] for n in way}, tree.scale(way, h))
        at = Transfer(carried.params | moved, carried.guide)
        return float(outer_gradient(Loop(), net, at, adaptation, episodes, Outer())[1]["query_loss"])

    slope, along = (loss(1e-5) - loss(-1e-5)) / 2e-5, float(tree.flat(loop.params) @ tree.flat(way))
    assert abs(slope - along) < 1e-7 * max(1.0, abs(slope))
