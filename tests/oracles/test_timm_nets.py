"""Seven nets of timm, as they are: their own eval(), adaptation that moves, and batched = loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl import Net
from metatl.adapt import Descent
from metatl.engines import Batched, Engine, Loop
from metatl.norm import Rows, moments_from
from metatl.pretrained import vision
from metatl.rules import SGD
from metatl.types import Batch, Episode, Unroll
from tests.outer import Outer, outer_gradient

CLASSES = 3


@dataclass(frozen=True)
class Case:
    """How a net is made and differentiated.

    size: pixels of a side; batch norms get too few values from a single pixel to be compared to many digits.
    options: of timm; unroll: first_order where torch has no second derivative.
    """

    size: int = 40
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    unroll: Unroll = "full"


CASES = {
    "resnet18": Case(),
    "vgg11_bn": Case(size=32, options={"mlp_ratio": 1 / 64}),  # without 100 million weights before its head
    "efficientnet_b0": Case(),
    "mobilenetv3_small_050": Case(unroll="first_order"),  # hardsigmoid's gradient has no derivative
    "vit_tiny_patch16_224": Case(size=32, options={"img_size": 32}),
    "convnext_atto": Case(size=32),
    "densenet121": Case(size=64),
}


@pytest.fixture(scope="module")
def timm() -> Any:
    if not vision.has("timm"):
        pytest.skip("timm is not installed")
    return vision.timm()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Maps are tiny: threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, timm: Any) -> tuple[nn.Module, Case]:
    """A net of timm in float64 with nothing at its usual value, running moments included."""
    case = CASES[request.param]
    module = timm.create_model(request.param, num_classes=CLASSES, **case.options).double()
    norms = [layer for layer in module.modules() if hasattr(layer, "running_var")]
    with torch.no_grad():
        for leaf in module.parameters():
            leaf.add_(0.01 * torch.randn_like(leaf))
        for norm in norms:
            norm.momentum = 1.0
        module.train()(pictures(4, case.size))  # moments of the right size, or a deep net's signal dies out
        for norm in norms:
            norm.running_mean.add_(0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_var))
            norm.running_var.mul_(0.5 + torch.rand_like(norm.running_var))
    return module.eval(), case


def pictures(count: int, size: int) -> Tensor:
    return torch.randn(count, 3, size, size, dtype=torch.float64)


def test_it_is_used_as_it_is_and_adapts(case: tuple[nn.Module, Case]) -> None:
    """Frozen moments are eval() to the last bit, those of the rows train(); a step moves the weights."""
    module, settings = case
    x = pictures(4, settings.size)
    net = Net.of(module, example=x)
    transfer = net.start()
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        assert torch.equal(net(transfer.params, transfer.buffers, x), module(x))
    with torch.no_grad(), moments_from(Rows()):
        ours = net(transfer.params, transfer.buffers, x)
    torch.testing.assert_close(ours, copy.deepcopy(module).train()(x), rtol=1e-8, atol=1e-8)
    assert net.batch_moments != torch.allclose(ours, module(x)), "the moments are those of the rows"
    assert net.head == module.pretrained_cfg["classifier"]
    adapted = Descent(SGD(0.01), steps=1, moments="frozen")(
        net, transfer, Batch(x, torch.arange(4) % CLASSES)
    )
    still = [name for name, leaf in adapted.items() if torch.equal(leaf, transfer.params[name])]
    assert len(still) <= len(adapted) // 10, still
    assert all(bool(leaf.isfinite().all()) for leaf in adapted.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_batched_is_loop(case: tuple[nn.Module, Case]) -> None:
    """The outer gradient through an inner step, two tasks at once, is that of one after another.

    With moments of the support rows: constant ones would spare the norms what is hard about them.
    """
    module, settings = case
    x, y = pictures(12, settings.size).unflatten(0, (2, 2, 3)), torch.arange(3).repeat(2, 1)
    net = Net.of(module, example=x[0, 0])
    episodes = Episode(Batch(x[0], y), Batch(x[1], y.flip(1)))
    inner, outer = Descent(SGD(1e-3), steps=1, moments="support"), Outer(settings.unroll)

    def gradient(engine: Engine) -> dict[str, Tensor]:
        return outer_gradient(engine, net, net.start(), inner, episodes, outer)[0].params

    ours, theirs = gradient(Batched()), gradient(Loop())
    size = max(float(leaf.abs().max()) for leaf in theirs.values())
    assert size > 0
    off = {name: float((ours[name] - leaf).abs().max()) / size for name, leaf in theirs.items()}
    assert max(off.values()) < 1e-9, max(off, key=lambda name: off[name])
