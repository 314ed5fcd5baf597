"""Objectives over several streams: own weights, reversal, and labels that are never read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metatl import Descent, Net, train
from metatl.data import Unlabelled
from metatl.engines import Loop
from metatl.learners import State, Supervised
from metatl.net import Pass
from metatl.objectives import DANN, Anchor, Seen, TaskLoss
from metatl.objectives.discriminator import reversed_gradient
from metatl.rules import SGD
from metatl.types import Batch, MetatlError


def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "domain_adversary.py"
    spec = importlib.util.spec_from_file_location("domain_adversary", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reversal_is_minus_lambda_times_the_gradient() -> None:
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    y = reversed_gradient(x, 0.3)
    torch.testing.assert_close(y, x, rtol=1e-15, atol=1e-15)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(found, -0.3 * 2 * x)


def test_dann_by_hand() -> None:
    """Loss and gradients of a discriminator written with torch.nn, features reversed by hand."""
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double())
    term = DANN(0.7, hidden=5)
    own = {n: p.requires_grad_() for n, p in term.weights(net, net.start(), 3).items()}
    features = {n: torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for n in term.streams}
    nothing = torch.empty(0)
    passes = {name: Pass(nothing, leaf) for name, leaf in features.items()}
    seen = Seen(passes, {name: Batch(nothing) for name in passes}, Anchor({}, None), own, 0.4)
    found = torch.autograd.grad(term.over({}, seen), [*own.values(), *features.values()])
    judge = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)).double()
    with torch.no_grad():
        for p, leaf in zip(judge.parameters(), own.values(), strict=True):
            p.copy_(leaf)
    said = judge(torch.cat(list(features.values())))[:, 0]
    loss = 0.7 * F.binary_cross_entropy_with_logits(
        said, torch.tensor([0.0, 1.0]).double().repeat_interleave(6)
    )
    right = torch.autograd.grad(loss, [*judge.parameters(), *features.values()])
    factor = 2 / (1 + torch.exp(torch.tensor(-4.0, dtype=torch.float64))) - 1
    signs = [1.0] * 4 + [-float(factor)] * 2
    for one, two, sign in zip(found, right, signs, strict=True):
        torch.testing.assert_close(one, sign * two)


class Poisoned:
    """A data set whose labels of one split are worth nothing."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def batch(self, split: str, size: int, seed: int, step: int) -> Batch:
        drawn = self.data.batch(split, size, seed, step)
        return drawn if split == "meta_train" else drawn._replace(y=torch.full_like(drawn.y, -(2**31)))


def test_target_labels_are_never_read_and_the_adversary_acts() -> None:
    made = example()
    data, terms = made.domains(), (TaskLoss(), DANN())
    clean, poisoned = made.learned(data, terms), made.learned(Poisoned(data), terms)
    assert all(torch.equal(clean.params[n], poisoned.params[n]) for n in clean.params)
    without = made.learned(data, (TaskLoss(),))
    assert not torch.equal(clean.params["0.weight"], without.params["0.weight"])
    right = {}
    for name, carried in (("with", clean), ("without", without)):
        module = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        module.load_state_dict(carried.params)
        bank = data.banks["meta_val"]
        x, y = bank.gather(torch.arange(400)), torch.arange(2).repeat_interleave(200)
        right[name] = float((module(x).argmax(1) == y).float().mean())
    assert right["with"] > right["without"] + 0.02, right


def test_own_weights_resume_bitwise() -> None:
    made = example()
    data, net = made.domains(), Net.of(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    streams = {"target": Unlabelled("meta_val", 8)}
    learner = Supervised(6, 8, SGD(0.1, momentum=0.9), (TaskLoss(), DANN()), "constant", streams=streams)
    state = learner.init(net, net.start())
    states: list[State] = []
    whole = train(learner, net, Loop(), state, data, 0, [lambda now, _: states.append(now)])
    again = train(learner, net, Loop(), states[2], data, 0)
    assert whole.memory["terms"].keys() == {"1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias"}
    assert bool((whole.memory["terms"]["1.0.weight"] != state.memory["terms"]["1.0.weight"]).any())
    assert whole.transfer.params.keys() == net.start().params.keys()
    for one, two in (
        (whole.memory["terms"], again.memory["terms"]),
        (whole.transfer.params, again.transfer.params),
    ):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_bad_streams_are_refused() -> None:
    made = example()
    data, net = made.domains(), Net.of(nn.Linear(4, 2))
    with pytest.raises(MetatlError, match="'target'"):
        Supervised(1, terms=(TaskLoss(), DANN())).check(net, net.start(), data)
    with pytest.raises(MetatlError, match="size"):
        Supervised(1, streams={"target": Unlabelled(size=0)}).check(net, net.start(), data)
    with pytest.raises(MetatlError, match="learner's"):
        Descent(terms=(DANN(),))(net, net.start(), Batch(torch.randn(4, 4), torch.arange(4) % 2))
