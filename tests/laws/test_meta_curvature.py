"""Meta-Curvature: identities are the other rule, factors are products along axes, and they are learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from metatl import tree
from metatl.adapt import Descent, QueryLoss
from metatl.data import Tasks
from metatl.engines import Batched, Engine, Loop
from metatl.heads import Zeros
from metatl.learners import Episodic
from metatl.net import Net
from metatl.rules import SGD, Adam, MetaCurvature
from metatl.testing import check_learner
from metatl.train import train
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.toys import assert_bitwise, assert_close, toy_data, toy_net, toy_tasks

PLAIN = SGD(0.3, momentum=0.5)
INNER = Descent(MetaCurvature(PLAIN), 3, Zeros())
TASKS = Tasks(3, 2, 3)


class Small(nn.Sequential):
    """A kernel, a matrix and vectors, on [n, 2, 4, 4]."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3)
        )


def with_factors(net: Net, inner: Descent, by: float = 0.0) -> Transfer:
    start = net.start()
    made = {f"prior.{n}": p for n, p in inner.prior(net, start).items()}
    return replace(start, memory={n: p + by * torch.randn_like(p) for n, p in made.items()})


def small() -> tuple[Net, Batch]:
    torch.manual_seed(0)
    net = Net.of(Small().double())
    return net, Batch(torch.randn(6, 2, 4, 4, dtype=torch.float64), torch.arange(6) % 3)


def test_identities_are_the_other_rule() -> None:
    net, support = small()
    plain = replace(INNER, rule=PLAIN)(net, net.start(), support)
    for start in (net.start(), with_factors(net, INNER)):
        assert_bitwise(INNER(net, start, support), plain)
    factors = INNER.prior(net, net.start())
    assert {n: tuple(p.shape) for n, p in factors.items() if n.endswith("0.weight")} == {
        "curvature.out.0.weight": (3, 3),
        "curvature.in.0.weight": (2, 2),
        "curvature.k.0.weight": (9, 9),
    }
    assert "curvature.k.3.weight" not in factors
    assert factors["curvature.each.0.bias"].shape == (3,)
    assert not [n for n in factors if ".5." in n], "a fresh output layer has no factors"


def test_a_step_is_the_dense_kronecker_product() -> None:
    net, _ = small()
    start = with_factors(net, INNER, 0.3)
    rule, grads = MetaCurvature(SGD(1.0)), tree.map(torch.randn_like, net.start().params)
    found = rule.update(grads, rule.resume(start.params, start.memory), start.params)[0]
    held = {n.removeprefix("prior.curvature."): leaf for n, leaf in start.memory.items()}
    for name, grad in grads.items():
        if name.startswith("5."):
            wanted = grad
        elif grad.dim() == 1:
            wanted = held[f"each.{name}"] * grad
        else:
            whole = torch.kron(held[f"out.{name}"], held[f"in.{name}"])
            whole = torch.kron(whole, held[f"k.{name}"]) if grad.dim() > 2 else whole
            wanted = (whole @ grad.flatten()).view_as(grad)
        torch.testing.assert_close(found[name], -wanted)


@pytest.mark.parametrize("engine", [Loop(), Batched()])
def test_the_gradient_of_the_factors_is_that_of_finite_differences(engine: Engine) -> None:
    torch.manual_seed(1)
    net, tasks = toy_net(), toy_tasks(3)
    start = with_factors(net, INNER, 0.1)
    loss = QueryLoss(net, INNER, start, learn_init=False)
    assert set(loss.variables) == set(start.memory)
    grads = engine.grad(loss, loss.variables, tasks)[0]

    def value(memory: Any) -> float:
        own = QueryLoss(net, INNER, replace(start, memory=memory), learn_init=False)
        return float(Loop().grad(own, own.variables, tasks)[1]["query_loss"])

    for name, leaf in start.memory.items():
        along = torch.randn_like(leaf)
        up, low = (value({**start.memory, name: leaf + sign * 1e-5 * along}) for sign in (1, -1))
        assert float((grads[name] * along).sum()) == pytest.approx((up - low) / 2e-5, rel=1e-4, abs=1e-8), (
            name
        )


@pytest.mark.parametrize("learn", ["prior", "init"])
def test_factors_are_learned_and_lower_the_loss(learn: Any) -> None:
    torch.manual_seed(2)
    net = toy_net(dtype=torch.float32)
    learner = Episodic(40, 4, TASKS, INNER, Adam(0.02), learn=learn)
    check_learner(replace(learner, steps=3), net, net.start(), toy_data())
    losses = list[float]()
    begun = learner.init(net, net.start())
    told = [lambda _, metrics: losses.append(float(metrics["query_loss"]))]
    state = train(learner, net, Batched(), begun, toy_data(), 5, told)
    assert sum(losses[-10:]) < sum(losses[:10])
    carried = learner.finish(net, state)
    moved = {n for n, leaf in carried.memory.items() if not torch.equal(leaf, begun.transfer.memory[n])}
    assert moved == set(carried.memory)
    assert moved
    still = {n for n, leaf in carried.params.items() if torch.equal(leaf, begun.transfer.params[n])}
    assert still == (set(carried.params) if learn == "prior" else {n for n in still if net.is_head(n)})


def test_engines_agree() -> None:
    torch.manual_seed(3)
    net, tasks = toy_net(), toy_tasks(3)
    start = with_factors(net, INNER, 0.2)

    def fitted(task: Episode) -> Any:
        return INNER(net, start, task.support)

    assert_close(Batched().map(fitted, tasks), Loop().map(fitted, tasks))


def test_nothing_to_learn_is_one_line() -> None:
    net = toy_net(dtype=torch.float32)
    learner = Episodic(2, 2, TASKS, replace(INNER, rule=PLAIN), learn="prior")
    with pytest.raises(MetatlError, match="MetaCurvature"):
        learner.check(net, net.start(), toy_data())
