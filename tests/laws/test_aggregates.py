"""Engines know variables and tasks: any loss, every task's own gradient, and aggregates over them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Descent, QueryLoss
from metatl.aggregates import Aggregate, Mean, PCGrad
from metatl.data import Tasks
from metatl.engines import Auto, Batched, Engine, Loop
from metatl.lab import config
from metatl.learners import Episodic
from metatl.loss import Loss
from metatl.rules import SGD
from metatl.types import MetatlError, Metrics, Params
from tests.toys import assert_close, toy_data, toy_net, toy_tasks

ENGINES: dict[str, Engine] = {
    "loop": Loop(),
    "batched": Batched(),
    "chunks": Batched(2),
    "recorded": Batched(record=True),
    "auto": Auto(),
}
AGGREGATES: dict[str, Aggregate] = {"mean": Mean(), "pcgrad": PCGrad()}


@dataclass(frozen=True, eq=False)
class Curve(Loss):
    """|exp(a x) + b - y|^2 of a task {x, y}; b is held: a loss that adapts nothing and has no net."""

    b: Tensor

    @property
    def held(self) -> Tensor:
        """b."""
        return self.b

    def __call__(self, variables: Params, held: Any, task: Any) -> tuple[Tensor, Metrics]:
        loss = ((variables["a"] * task["x"]).exp() + held - task["y"]).square().mean()
        return loss, {"loss": loss.detach()}


def curves(tasks: int = 5) -> dict[str, Tensor]:
    return {name: torch.rand(tasks, 7, dtype=torch.float64) for name in ("x", "y")}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_any_loss_by_hand(engine: Engine) -> None:
    """d/da = mean of 2 (exp(ax) + b - y) x exp(ax), with other values of b and a at a second call."""
    tasks = curves()
    loss = Curve(torch.tensor(0.3, dtype=torch.float64))
    for a, b in ((0.5, 0.3), (0.9, -0.4)):
        loss.b.fill_(b)
        grads, metrics = engine.grad(loss, {"a": torch.tensor(a, dtype=torch.float64)}, tasks)
        e = (a * tasks["x"]).exp()
        each = (2 * (e + b - tasks["y"]) * tasks["x"] * e).mean(1)
        losses = (e + b - tasks["y"]).square().mean(1)
        assert_close(grads, {"a": each.mean()}, 1e-12)
        assert_close(metrics, {"loss": losses.mean()}, 1e-12)
        found = engine.grads(loss, {"a": torch.tensor(a, dtype=torch.float64)}, tasks)
        assert_close(found.gradients, {"a": each}, 1e-12)
        assert_close({"l": found.losses, **found.metrics}, {"l": losses, "loss": losses}, 1e-12)


@pytest.mark.parametrize("unroll", ["full", "first_order"])
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_each_gradient_is_that_of_a_task_alone(engine: Engine, unroll: Any) -> None:
    net, tasks = toy_net(norm=True), toy_tasks(5)
    loss = QueryLoss(net, Descent(SGD(0.3), 2), net.start(), unroll, learn_guide=True)
    each = engine.grads(loss, loss.variables, tasks)
    for i in range(5):
        alone, metrics = Loop().grad(loss, loss.variables, tree.at(tasks, slice(i, i + 1)))
        assert_close({name: leaf[i] for name, leaf in each.gradients.items()}, alone)
        assert_close({name: leaf[i] for name, leaf in each.metrics.items()}, metrics)
        assert float(each.losses[i]) == pytest.approx(float(metrics["query_loss"]))
    whole, _ = engine.grad(loss, loss.variables, tasks)
    assert_close(tree.mean(each.gradients), whole)


def test_weights_without_gradient_are_no_variables() -> None:
    module = toy_net().module
    module.body[0].weight.requires_grad_(False)  # type: ignore[union-attr, index]
    net = type(toy_net()).of(module)
    loss = QueryLoss(net, Descent(SGD(0.3), 2), net.start(), learn_guide=True)
    assert not any("body.0.weight" in name for name in loss.variables)
    found, _ = Batched().grad(loss, loss.variables, toy_tasks(3))
    assert set(found) == set(loss.variables)


def of(aggregate: Aggregate, *rows: tuple[float, ...]) -> list[float]:
    """The aggregate of gradients whose entries lie in two variables."""
    flat = torch.tensor(rows, dtype=torch.float64)
    gradients = {"a": flat[:, :1], "b": flat[:, 1:].unflatten(1, (1, -1))}
    found, _ = aggregate(gradients, torch.zeros(len(rows)), aggregate.init(3))
    assert [leaf.shape for leaf in found.values()] == [leaf.shape[1:] for leaf in gradients.values()]
    return torch.cat([leaf.flatten() for leaf in found.values()]).tolist()


@pytest.mark.parametrize("aggregate", AGGREGATES.values(), ids=AGGREGATES)
def test_one_equal_and_agreeing_gradients_give_their_mean(aggregate: Aggregate) -> None:
    assert of(aggregate, (1.0, -2.0, 3.0)) == [1.0, -2.0, 3.0]
    assert of(aggregate, *[(1.0, -2.0, 3.0)] * 4) == pytest.approx([1.0, -2.0, 3.0])
    assert of(aggregate, (1.0, 0.5, 0.0), (0.0, 1.0, 2.0)) == pytest.approx([0.5, 0.75, 1.0])
    assert of(aggregate, (0.0, 0.0, 0.0), (2.0, 0.0, 0.0)) == pytest.approx([1.0, 0.0, 0.0])


def test_pcgrad_of_two_that_conflict_by_hand() -> None:
    """g1 = (1, 0, 0), g2 = (-1, 1, 0): g1' = g1 + 1/2 g2 = (.5, .5, 0), g2' = g2 + g1 = (0, 1, 0)."""
    assert of(PCGrad(), (1.0, 0.0, 0.0), (-1.0, 1.0, 0.0)) == pytest.approx([0.25, 0.75, 0.0])
    opposed = of(PCGrad(), (1.0, 0.0, 0.0), (-3.0, 0.0, 0.0))
    assert opposed == pytest.approx([0.0, 0.0, 0.0]), "nothing that helps one and harms the other is left"


def test_pcgrad_takes_another_order_in_the_next_step() -> None:
    torch.manual_seed(0)
    gradients = {"a": torch.randn(6, 3, dtype=torch.float64)}
    state, seen = PCGrad().init(0), set[float]()
    for _ in range(4):
        found, after = PCGrad()(gradients, torch.zeros(6), state)
        again, _ = PCGrad()(gradients, torch.zeros(6), state)
        assert torch.equal(found["a"], again["a"]), "the same state, the same order"
        seen.add(float(found["a"].sum()))
        state = after
    assert len(seen) > 1


@pytest.mark.parametrize("skip", [False, True])
def test_maml_under_pcgrad_resumes_to_the_bit(skip: bool) -> None:
    torch.manual_seed(1)
    net, data = toy_net(dtype=torch.float32), toy_data()
    maml = Episodic(
        4, 3, Tasks(3, 2, 3), Descent(SGD(0.1), 2), SGD(0.1), aggregate=PCGrad(), skip_bad_tasks=skip
    )
    state, states = maml.init(net, net.start()), []
    for step in range(4):
        state, metrics = maml.step(net, Batched(), state, maml.draw(data, 0, step))
        states.append(state)
        assert math.isfinite(float(metrics["query_loss"]))
    resumed, _ = maml.step(net, Batched(), states[2], maml.draw(data, 0, 3))
    for name, leaf in states[3].transfer.params.items():
        assert torch.equal(leaf, resumed.transfer.params[name])
    assert states[3].memory["aggregate"]["drawn"].tolist() == [0, 4]
    assert not maml.capturable(3)
    plain = replace(maml, aggregate=Mean())
    other, _ = plain.step(net, Batched(), plain.init(net, net.start()), plain.draw(data, 0, 0))
    assert not torch.equal(other.transfer.params["head.weight"], states[0].transfer.params["head.weight"]), (
        "no tasks conflict here"
    )


def test_an_aggregate_is_a_value_of_a_config(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "{name: a, data: Sinusoid, model: MLP,"
        " learner: {class_path: Episodic, init_args: {aggregate: PCGrad}}}"
    )
    assert config.load(path).learner.aggregate == PCGrad()  # type: ignore[attr-defined]
    with pytest.raises(MetatlError, match="aggregate"):
        config.load(path, ["--learner.aggregate", "SGD"])
