"""A weight without axes (a temperature, say) is one of a single entry, wherever weights are stacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import Descent
from metatl.aggregates import GradNorm, UPGrad
from metatl.data import Tasks
from metatl.engines import Loop
from metatl.heads import Zeros
from metatl.learners import FisherDirections, Importance, Learner, PathDirections, Scout, Supervised
from metatl.net import Net
from metatl.objectives import GaussianPrior, TaskLoss
from metatl.rules import SGD, Adam, MetaCurvature, Preconditioned
from metatl.train import train
from metatl.transforms import Subspace
from metatl.types import Params, Transfer
from tests.toys import assert_close, toy_data


class Scaled(nn.Module):
    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.scale, self.last = (
            nn.Linear(4, 6),
            nn.Parameter(torch.full(size, 1.3)),
            nn.Linear(6, 8),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.body(x) * self.scale))


def alike(how: Any) -> Params:
    """What is found with a scale without axes, after a look that it is what one of shape [1] gives."""
    found = list[Params]()
    for size in ((), (1,)):
        torch.manual_seed(0)
        net = Net.of(Scaled(size))
        found.append(
            {key: leaf.squeeze(-1) if leaf.shape[-1:] == (1,) else leaf for key, leaf in how(net).items()}
        )
    assert_close(*found, 1e-6)
    return found[0]


def learned(learner: Learner, net: Net) -> Transfer:
    state = train(learner, net, Loop(), learner.init(net, net.start()), toy_data(), 4)
    return learner.finish(net, state)


def scouts(folder: Path) -> Scout:
    inner = Descent(SGD(0.5), 3, Zeros())
    return Scout(2, 4, Tasks(3, 4, 0), inner, directions=3, displacements=str(folder))


def test_learners_carry_the_same_of_it(tmp_path: Path) -> None:
    plain = Supervised(6, 5, Adam(0.02))
    for learner in (
        scouts(tmp_path),
        PathDirections(plain, 2, 3),
        FisherDirections(3, 5, 3),
        Importance(3, Tasks(3, 4, 2)),
    ):
        held = alike(
            lambda net, learner=learner: {n: p.abs() for n, p in learned(learner, net).memory.items()}
        )
        of_scale = [leaf for key, leaf in held.items() if key.endswith(".scale")]
        assert any(bool(leaf.any()) for leaf in of_scale)


@pytest.mark.parametrize(
    "kind", ["subspace", "diagonal", "low_rank prior", "low_rank", "kronecker", "curvature"]
)
def test_tasks_move_it_the_same(kind: str, tmp_path: Path) -> None:
    rows = tree.at(toy_data().draw("meta_train", Tasks(3, 4, 0), 1, 0, 1), 0).support

    def moved(net: Net) -> Params:
        carried = learned(scouts(tmp_path), net)
        rule = {
            "low_rank": Preconditioned(SGD(0.1)),
            "kronecker": Preconditioned(SGD(0.1), form="kronecker"),
            "curvature": MetaCurvature(SGD(0.1)),
        }.get(kind, SGD(0.1))
        prior = GaussianPrior(form="diagonal" if kind == "diagonal" else "low_rank")
        terms = (TaskLoss(), prior) if kind in ("diagonal", "low_rank prior") else (TaskLoss(),)
        if kind == "subspace":
            net, carried = Subspace(3)(net, carried)
        fitted = Descent(rule, 3, Zeros(), terms).fit(net, carried, rows)
        if kind == "subspace":
            fitted["subspace.z"] = fitted["subspace.z"].abs()
        assert any(not torch.equal(leaf, carried.params[name]) for name, leaf in fitted.items())
        return fitted

    alike(moved)


@pytest.mark.parametrize("aggregate", [UPGrad(), GradNorm(layer="")])
def test_aggregates_weigh_it_as_any_other(aggregate: Any) -> None:
    torch.manual_seed(0)
    rows = torch.randn(3, 5)
    losses = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    state = aggregate.init(0)
    one, _ = aggregate({"a": rows[:, :4], "b": rows[:, 4:]}, losses, dict(state))
    two, _ = aggregate({"a": rows[:, :4], "b": rows[:, 4]}, losses, dict(state))
    assert_close({"a": two["a"], "b": two["b"][None]}, one, 1e-6)
