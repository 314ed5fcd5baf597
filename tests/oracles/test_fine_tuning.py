"""Fine-tuning strategies by hand: discriminative rates, gradual unfreezing, Auto-RGN, names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metatl import tree
from metatl.adapt import Descent
from metatl.guides import ByName, DepthDecay, RelativeGradNorm, Unfreeze, layers
from metatl.heads import Ridge, Zeros
from metatl.models import Conv4
from metatl.net import Net
from metatl.rules import SGD
from metatl.types import MetatlError
from tests.toys import assert_bitwise, toy_net, toy_task, with_guide


def deep() -> Net:
    """Three linear layers: "0", "2" and the head "4"."""
    made = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    return Net.of(made)


def test_discriminative_rates_fall_by_2_6_a_layer() -> None:
    """eta of layer l - 1 = eta of layer l / 2.6 (Howard & Ruder 2018)."""
    net = deep()
    guide = DepthDecay()(net, net.start())
    expected = {"4": 1.0, "2": 1 / 2.6, "0": 1 / 2.6**2}
    for name, entry in guide.items():
        assert float(entry) == pytest.approx(expected[name.partition(".")[0]], rel=1e-12)


def test_discriminative_rates_are_rates_per_layer() -> None:
    """Against torch.optim with one parameter group a layer."""
    net, task = deep(), toy_task()
    start = net.start()
    found = Descent(SGD(0.5, 0.9), 4)(net, with_guide(start, DepthDecay()(net, start)), task.support)
    p = {n: w.clone().requires_grad_() for n, w in start.params.items()}
    groups = [
        dict(params=[w for n, w in p.items() if n.startswith(layer)], lr=0.5 / 2.6**above)
        for above, layer in enumerate(["4", "2", "0"])
    ]
    optimiser = torch.optim.SGD(groups, momentum=0.9)
    for _ in range(4):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(p, {}, task.support.x), task.support.y).backward()
        optimiser.step()
    for n, w in p.items():
        torch.testing.assert_close(found[n], w.detach(), rtol=1e-10, atol=1e-12)


def test_a_layer_is_a_weight_with_its_bias_and_norm() -> None:
    net = Net.of(Conv4((1, 16, 16), 5, 2))
    groups = layers(net, net.start().params)
    assert [len(group) for group in groups] == [4, 4, 4, 4, 2]
    assert groups[0] == [f"blocks.0.{rest}" for rest in ("0.weight", "0.bias", "1.weight", "1.bias")]
    assert groups[-1] == ["head.weight", "head.bias"]


def test_gradual_unfreezing_opens_one_layer_after_another_from_the_top() -> None:
    net, task = deep(), toy_task()
    start = net.start()
    carried = with_guide(start, Unfreeze(2)(net, start))
    points = [p.params for p in Descent(SGD(0.5), 7).trajectory(net, carried, task.support, "first_order")]
    for step in range(7):
        for name in start.params:
            opens = {"4": 0, "2": 2, "0": 4}[name.partition(".")[0]]
            still = torch.equal(points[step][name], points[step + 1][name])
            assert still is (step < opens), (step, name)
    probe = with_guide(start, ByName((("^4", 1.0), ("", 0.0)))(net, start))
    assert_bitwise(points[1], Descent(SGD(0.5), 1)(net, probe, task.support))


@pytest.mark.parametrize("head", [Ridge(), Zeros()], ids=["ridge", "zeros"])
def test_auto_rgn(head: Ridge | Zeros) -> None:
    """guide = (|g| / |w|) / max of them, over the body's weight matrices (Lee et al. 2023)."""
    net, task = deep(), toy_task()
    start = net.start()
    adaptation = Descent(SGD(0.1), 1, head, guide_from_support=RelativeGradNorm())
    guide = adaptation.inner(net, start, task.support).guide
    p = {n: w.clone().requires_grad_() for n, w in Ridge().init(net, start, task.support)[0].items()}
    nn.functional.cross_entropy(net(p, {}, task.support.x), task.support.y).backward()
    ratio = {n: float(p[n].grad.norm() / p[n].detach().norm()) for n in ("0.weight", "2.weight")}
    for n, r in ratio.items():
        expected = torch.full_like(start.params[n], r / max(ratio.values()))
        torch.testing.assert_close(guide[n].expand_as(expected), expected, rtol=1e-9, atol=0)
    assert [float(guide[n].mean()) for n in ("0.bias", "2.bias", "4.weight", "4.bias")] == [
        0.0,
        0.0,
        1.0,
        1.0,
    ]


def test_the_first_rule_that_matches_wins() -> None:
    net = deep()
    guide = ByName((("bias", 0.0), ("^4", 1.0), ("weight", 0.25)))(net, net.start())
    assert {n: float(g) for n, g in guide.items()} == {
        "0.weight": 0.25, "0.bias": 0.0, "2.weight": 0.25, "2.bias": 0.0, "4.weight": 1.0, "4.bias": 0.0,
    }  # fmt: skip
    with pytest.raises(MetatlError, match="regular expression"):
        ByName((("(", 1.0),))


def test_head_only_is_the_linear_probe() -> None:
    """Feature extraction: the same as fitting a linear layer on fixed features."""
    net, task = toy_net(), toy_task()
    start = net.start()
    only = with_guide(start, ByName((("^head", 1.0), ("", 0.0)))(net, start))
    found = Descent(SGD(0.3, 0.9), 6, Zeros())(net, only, task.support)
    features = net.features(start.params, {}, task.support.x)
    probe = nn.Linear(5, 3).double()
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimiser = torch.optim.SGD(probe.parameters(), 0.3, momentum=0.9)
    for _ in range(6):
        optimiser.zero_grad()
        nn.functional.cross_entropy(probe(features), task.support.y).backward()
        optimiser.step()
    torch.testing.assert_close(found["head.weight"], probe.weight.detach(), rtol=1e-10, atol=1e-12)
    assert_bitwise(*(tree.split(p, lambda n: n.startswith("body"))[0] for p in (found, start.params)))
