"""What moves, by hand: parts, norms, layer-wise decay, Auto-RGN, Auto-SNR, slanted triangles, WiSE-FT."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from metatl import models, rules
from metatl.adapt import Descent
from metatl.engines import Batched, Loop
from metatl.guides import DepthDecay, Norms, RelativeGradNorm, SignalToNoise, Surgical, Unfreeze
from metatl.heads import Zeros
from metatl.net import Net
from metatl.pretrained import vision
from metatl.rules import SGD, Adam, SlantedTriangular
from metatl.types import Batch, MetatlError, Params
from tests.cases import Case, assert_same, sgd
from tests.toys import assert_bitwise, toy_net, toy_task, with_guide

PARTS = {"first": {"body.0", "body.2"}, "middle": {"body.4", "body.6"}, "last": {"body.8", "body.10"}}


def tall() -> Net:
    """Six blocks, two for each of three parts, and the output layer `head`."""
    torch.manual_seed(0)
    return Net.of(models.MLP((4,), 3, (6, 5, 6, 5, 6, 5)).double())


def layers_of(names: set[str]) -> set[str]:
    return {name.rpartition(".")[0] for name in names}


@pytest.mark.parametrize("place", PARTS)
def test_one_part_moves_and_a_carried_output_layer_stays(place: str) -> None:
    net, task = tall(), toy_task()
    start = net.start()
    carried = with_guide(start, Surgical(place)(net, start))  # type: ignore[arg-type]
    for head, more in ((Descent().head, set[str]()), (Zeros(), {"head"})):
        found = Descent(SGD(0.3, 0.9), 2, head)(net, carried, task.support)
        assert (
            layers_of({n for n in found if not torch.equal(found[n], start.params[n])}) == PARTS[place] | more
        )


def test_of_two_blocks_the_first_and_the_last_part_are_one_each_and_there_is_no_middle() -> None:
    net = Net.of(models.MLP((4,), 3, (6, 5)))
    start = net.start()
    for place, layer in (("first", "body.0"), ("last", "body.2")):
        guide = Surgical(place)(net, start)  # type: ignore[arg-type]
        assert {name.rsplit(".", 1)[0] for name, entry in guide.items() if float(entry)} == {layer}
    with pytest.raises(MetatlError, match="which make no 3 parts"):
        Surgical("middle")(net, start)


def test_parts_that_a_net_has_not_are_refused() -> None:
    net = toy_net()
    with pytest.raises(
        MetatlError, match="the net has 1 blocks below its output layer, which make no 2 parts"
    ):
        Surgical()(net, net.start())
    with pytest.raises(MetatlError, match="give first, middle or last"):
        Surgical("top")  # type: ignore[arg-type]
    with pytest.raises(MetatlError, match="give layer or block"):
        DepthDecay(by="stage")  # type: ignore[arg-type]


def test_each_earlier_part_is_three_times_slower() -> None:
    net = tall()
    guide = DepthDecay(3.0, "block", 2)(net, net.start())
    found = {name.rpartition(".")[0]: float(entry) for name, entry in guide.items()}
    assert found == {f"body.{i}": 1 / 9 if i < 6 else 1 / 3 for i in range(0, 12, 2)} | {"head": 1.0}
    opened = Unfreeze(1, "block", 2)(net, net.start())
    assert [int(opened[f"{name}.weight"].argmax()) for name in ("head", "body.6", "body.4")] == [0, 1, 2]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_layer_wise_decay_is_that_of_timm(name: str) -> None:
    """d^(L + 1 - i): timm's groups with its scales, which are BEiT's but for the final norm."""
    if not vision.has("timm"):
        pytest.skip("timm is not installed")
    timm = vision.timm()
    options = {"img_size": 32, "depth": 4} if name.startswith("vit") else {}
    module = timm.create_model(name, num_classes=3, **options)
    from timm.optim import param_groups_layer_decay

    names = {id(p): n for n, p in module.named_parameters()}
    groups = param_groups_layer_decay(module, layer_decay=0.75, weight_decay=0.0)
    expected = {names[id(p)]: group["lr_scale"] for group in groups for p in group["params"]}
    net = Net.of(module, example=torch.zeros(2, 3, 32, 32))
    guide = DepthDecay(1 / 0.75, "block")(net, net.start())
    assert {n: pytest.approx(float(g)) for n, g in guide.items()} == expected
    if name.startswith("vit"):
        place = {
            "patch_embed.proj.weight": 0,
            "pos_embed": 0,
            "blocks.0.norm1.weight": 1,
            "blocks.3.mlp.fc2.bias": 4,
        }
        assert all(float(guide[n]) == pytest.approx(0.75 ** (4 + 1 - i)) for n, i in place.items())


class RootMeanSquareNorm(nn.Module):
    """A norm that is none of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return x / x.square().mean(-1, keepdim=True).sqrt() * self.scale


def test_norms_alone() -> None:
    def moved(net: Net) -> set[str]:
        return {name for name, entry in Norms()(net, net.start()).items() if float(entry)}

    own = nn.Sequential(nn.Linear(4, 5), RootMeanSquareNorm(), nn.LayerNorm(5), nn.Linear(5, 3))
    assert moved(Net.of(own)) == {"1.scale", "2.weight", "2.bias", "3.weight", "3.bias"}
    conv = Net.of(models.Conv4((1, 16, 16), 3, 2))
    assert layers_of(moved(conv)) == {"head", *(f"blocks.{i}.1" for i in range(4))}
    with pytest.raises(MetatlError, match="no norm with weights"):
        moved(Net.of(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))))


class Plain(nn.Module):
    """As the published nets: no biases below the output layer, and a norm named bn."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.bn, self.two = (
            nn.Linear(4, 6, bias=False),
            nn.LayerNorm(6),
            nn.Linear(6, 5, bias=False),
        )
        self.fc = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.two(self.bn(self.one(x).tanh())).tanh())


BATCH, LR, DECAY = 4, 0.05, 1e-4


def published(
    module: nn.Module, x: Tensor, y: Tensor, weighed: Callable[[list[Params]], Params], steps: int
) -> Params:
    """Every epoch: weights of the tensors from five batches, and a new Adam with these rates."""
    batches = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    params = dict(module.named_parameters())
    left = steps
    while left > 0:
        grads: list[Params] = []
        for some in batches[:5]:
            loss = nn.functional.cross_entropy(module(some[0]), some[1])
            grads.append(dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True)))
        weights = weighed([{n: g for n, g in one.items() if "bn" not in n} for one in grads])
        groups = [{"params": params[n], "lr": LR * float(w)} for n, w in weights.items()]
        optimiser = torch.optim.Adam(groups, weight_decay=DECAY)
        for some in batches[:left]:
            optimiser.zero_grad()
            nn.functional.cross_entropy(module(some[0]), some[1]).backward()
            optimiser.step()
        left -= len(batches)
    return {n: p.detach() for n, p in params.items()}


def relative(params: Params, grads: list[Params]) -> Params:
    ratio = {n: sum(g[n].norm() / params[n].norm() for g in grads) / len(grads) for n in grads[0]}
    return {n: r.detach() / max(ratio.values()).detach() for n, r in ratio.items()}  # type: ignore[type-var, misc]


def noise(grads: list[Params]) -> Params:
    def one(g: Tensor) -> Tensor:
        return (g * g / (torch.var(g, dim=0, keepdim=True) + 1e-8)).mean()

    return {n: (sum(one(g[n]) for g in grads) / len(grads) >= 0.95).double() for n in grads[0]}  # type: ignore[union-attr]


@pytest.mark.parametrize("way", ["rgn", "snr"])
def test_tensors_rates_as_published(way: str) -> None:
    """Five batches of an epoch, ratios averaged; new rates and a new Adam every epoch of seven batches."""
    torch.manual_seed(1)
    module, x = Plain().double(), torch.randn(28, 4, dtype=torch.float64)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 1).long()
    net = Net.of(module)
    guide = (
        RelativeGradNorm(batch_size=BATCH, ranked="all")
        if way == "rgn"
        else SignalToNoise(batch_size=BATCH, ranked="all")
    )
    descent = Descent(
        Adam(LR, weight_decay=DECAY), 18, batch_size=BATCH, guide_from_support=guide, anew="epoch"
    )
    params = dict(module.named_parameters())
    weighed = partial(relative, params) if way == "rgn" else noise
    start = net.start()
    found = descent(net, start, Batch(x, y))
    expected = published(module, x, y, weighed, 18)
    for name, leaf in expected.items():
        torch.testing.assert_close(found[name], leaf, rtol=1e-8, atol=1e-10)
    assert torch.equal(found["bn.weight"], start.params["bn.weight"])
    moved = {n for n in found if not torch.equal(found[n], start.params[n])}
    assert "two.weight" in moved
    once = replace(descent, anew="never")(net, start, Batch(x, y))
    assert any(not torch.equal(once[n], found[n]) for n in moved)


def test_one_entry_along_the_first_axis_has_no_variance_and_moves() -> None:
    net = Net.of(nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(1, 3)).double())
    guide = SignalToNoise(cut=1e9)(
        net, net.start().params, lambda p, rows=None: net(p, {}, task.support.x), (task := toy_task()).support
    )
    assert float(guide["0.weight"]) == 1.0


@pytest.mark.parametrize("guide", [RelativeGradNorm(), SignalToNoise()])
def test_a_net_that_is_an_output_layer_alone_moves(guide: RelativeGradNorm | SignalToNoise) -> None:
    net, task = Net.of(nn.Sequential(nn.Linear(4, 3)).double()), toy_task()
    descent = Descent(SGD(0.1), 2, Zeros(), guide_from_support=guide)
    plain = replace(descent, guide_from_support=None)
    assert_bitwise(*(one(net, net.start(), task.support) for one in (descent, plain)))


@pytest.mark.parametrize(("steps", "rise"), [(100, 0.1), (30, 0.3), (1000, 0.01)])
def test_slanted_triangles_as_published(steps: int, rise: float) -> None:
    schedule, cut = SlantedTriangular(rise), math.floor(steps * rise)
    for t in range(steps):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / rise - 1))
        assert schedule(t, steps) == pytest.approx((1 + p * 31) / 32)
        assert float(schedule(torch.tensor(t), steps)) == pytest.approx(schedule(t, steps))


def test_slanted_triangles_never_climb() -> None:
    """The published p is negative where cut is rounded: 19 steps would end at -0.8 of the rate."""
    for steps in range(1, 60):
        factors = [float(SlantedTriangular()(t, steps)) for t in range(steps)]
        assert all(1 / 32 <= factor <= 1 for factor in factors)
        assert max(factors) == 1.0 or steps * 0.1 >= 1
    with pytest.raises(MetatlError, match="rise is a share"):
        rules.SlantedTriangular(1.0)


def test_weights_between_start_and_end() -> None:
    """theta_0 + c (theta_1 - theta_0): Wortsman et al. 2022."""
    net, task = toy_net(), toy_task()
    start, descent = net.start(), Descent(Adam(0.1), 4)
    end = descent(net, start, task.support)
    assert_bitwise(replace(descent, average=0.0)(net, start, task.support), start.params)
    half = replace(descent, average=0.25)(net, start, task.support)
    for name, leaf in half.items():
        torch.testing.assert_close(leaf, 0.75 * start.params[name] + 0.25 * end[name], rtol=1e-12, atol=1e-14)
    zeros = replace(descent, head=Zeros())
    head = zeros(net, start, task.support)["head.weight"]
    assert torch.equal(replace(zeros, average=0.5)(net, start, task.support)["head.weight"], head / 2)
    with pytest.raises(MetatlError, match="average is a share from 0 to 1"):
        replace(descent, average=1.5)


def test_engines_agree_on_rules_that_start_anew_and_averages() -> None:
    adaptation = replace(
        sgd(4, 0.1, momentum=0.9),
        batch_size=3,
        guide_from_support=RelativeGradNorm(batch_size=3),
        anew="epoch",
        average=0.7,
    )
    assert_same(Batched(), Loop(), "mlp, batch norm", Case(adaptation))
