"""The MAML family against its formulas, written out with plain autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent
from metatl.data import Tasks
from metatl.engines import Batched, Engine, Loop
from metatl.guides import ByName, PerStep
from metatl.heads import Prototypes, Zeros
from metatl.learners import Episodic, Reptile
from metatl.rules import SGD, CarriedAdam
from metatl.types import Batch, Episode, MetatlError, Params
from tests.toys import WAY, assert_close, scales, toy_net, toy_task, toy_tasks, with_guide

engines = pytest.mark.parametrize("engine", [Loop(), Batched()], ids=["loop", "batched"])


def forward(p: Params, x: Tensor) -> Tensor:
    """The toy net, by hand."""
    return torch.tanh(x @ p["body.0.weight"].T + p["body.0.bias"]) @ p["head.weight"].T + p["head.bias"]


def ce(p: Params, batch: Batch) -> Tensor:
    return F.cross_entropy(forward(p, batch.x), batch.y)


def variables(params: Params) -> Params:
    return {n: p.clone().requires_grad_() for n, p in params.items()}


def gradients(loss: Tensor, p: Params, create_graph: bool = False) -> Params:
    return dict(zip(p, torch.autograd.grad(loss, list(p.values()), create_graph=create_graph), strict=True))


def stepped(params: Params, grads: Params, rate: float) -> Params:
    return tree.detach({n: p - rate * grads[n] for n, p in params.items()})


def each(episodes: Episode) -> list[Episode]:
    return [tree.at(episodes, i) for i in range(len(episodes.support.x))]


@engines
def test_maml_one_outer_step(engine: Engine) -> None:
    """theta <- theta - beta grad mean_i L_query(theta - alpha grad L_support(theta))."""
    net, episodes = toy_net(), toy_tasks(3)
    learner = Episodic(1, 3, adaptation=Descent(SGD(0.4), 1), rule=SGD(0.7))
    state, metrics = learner.step(net, engine, learner.init(net, net.start()), episodes)
    theta = variables(net.start().params)
    losses = []
    for task in each(episodes):
        inner = gradients(ce(theta, task.support), theta, create_graph=True)
        losses.append(ce({n: p - 0.4 * inner[n] for n, p in theta.items()}, task.query))
    outer = gradients(torch.stack(losses).mean(), theta)
    assert_close(state.transfer.params, tree.detach({n: p - 0.7 * outer[n] for n, p in theta.items()}), 1e-10)
    torch.testing.assert_close(metrics["query_loss"], torch.stack(losses).mean().detach())
    first = torch.stack([ce(theta, task.support) for task in each(episodes)]).mean().detach()
    torch.testing.assert_close(metrics["inner_loss/0"], first)


@engines
def test_meta_sgd(engine: Engine) -> None:
    """theta' = theta - alpha o grad L; both theta and alpha follow the query loss (arXiv 1707.09835)."""
    net, episodes = toy_net(), toy_tasks(2)
    start = with_guide(
        net.start(), {n: g.expand_as(net.start().params[n]) for n, g in scales(net.start().params).items()}
    )
    learner = Episodic(
        1, 2, adaptation=Descent(SGD(0.5), 1), rule=SGD(0.1), learn="init_and_guide", guide_rate=3.0
    )
    state, _ = learner.step(net, engine, learner.init(net, start), episodes)
    theta, alpha = variables(start.params), variables(start.guide)
    losses = []
    for task in each(episodes):
        inner = gradients(ce(theta, task.support), theta, create_graph=True)
        losses.append(ce({n: p - alpha[n] * 0.5 * inner[n] for n, p in theta.items()}, task.query))
    loss = torch.stack(losses).mean()
    by_theta, by_alpha = gradients(loss, theta, create_graph=True), gradients(loss, alpha)
    assert_close(
        state.transfer.params, tree.detach({n: p - 0.1 * by_theta[n] for n, p in theta.items()}), 1e-10
    )
    assert_close(
        state.transfer.guide, tree.detach({n: a - 0.3 * by_alpha[n] for n, a in alpha.items()}), 1e-10
    )


@engines
def test_proto_maml(engine: Engine) -> None:
    """W = 2c, b = -|c|^2, differentiable in theta; then steps on all weights (arXiv 1903.03096)."""
    net, episodes = toy_net(), toy_tasks(2)
    learner = Episodic(1, 2, adaptation=Descent(SGD(0.1), 2, Prototypes()), rule=SGD(1.0))
    state, _ = learner.step(net, engine, learner.init(net, net.start()), episodes)
    theta = variables(net.start().params)
    losses = []
    for task in each(episodes):
        features = torch.tanh(task.support.x @ theta["body.0.weight"].T + theta["body.0.bias"])
        c = torch.stack([features[task.support.y == k].mean(0) for k in range(WAY)])
        p = {**theta, "head.weight": 2 * c, "head.bias": -c.square().sum(1)}
        for _ in range(2):
            inner = torch.func.grad(ce)(p, task.support)  # the head is a layer like any other by then
            p = {n: w - 0.1 * inner[n] for n, w in p.items()}
        losses.append(ce(p, task.query))
    body = {n: p for n, p in theta.items() if n.startswith("body")}
    outer = gradients(torch.stack(losses).mean(), body)
    expected = {n: p - outer[n] if n in outer else p for n, p in theta.items()}
    assert_close(state.transfer.params, tree.detach(expected), 1e-10)


@engines
def test_reptile(engine: Engine) -> None:
    """phi <- phi + epsilon mean_i(phi_i - phi), epsilon falling linearly (arXiv 1803.02999)."""
    net, episodes = toy_net(), toy_tasks(3)
    learner = Reptile(4, 3, adaptation=Descent(SGD(0.3), 3, batch_size=4), rate=0.8, schedule="linear")
    state = replace(learner.init(net, net.start()), step=1)
    after, _ = learner.step(net, engine, state, episodes)
    phi = net.start().params
    ends = []
    for task in each(episodes):
        p = phi
        for rows in ([0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]):  # contiguous, around the end
            inner = torch.func.grad(ce)(p, Batch(task.support.x[rows], task.support.y[rows]))
            p = {n: w - 0.3 * inner[n] for n, w in p.items()}
        ends.append(p)
    expected = {n: w + 0.8 * 0.75 * (sum(p[n] for p in ends) / 3 - w) for n, w in phi.items()}
    assert_close(after.transfer.params, expected, 1e-10)


@engines
def test_reptile_goes_on_with_one_optimiser(engine: Engine) -> None:
    """A task a step: what one torch.optim.Adam does that is never started anew, as was published."""
    net = toy_net()
    learner = Reptile(5, 1, adaptation=Descent(CarriedAdam(0.02, 0.8), 3), rate=0.7, schedule="linear")
    state = learner.init(net, net.start())
    theta = {n: p.clone().requires_grad_() for n, p in net.start().params.items()}
    adam = torch.optim.Adam(theta.values(), 0.02, betas=(0.0, 0.8))
    for step in range(5):
        tasks = toy_tasks(1)
        state, _ = learner.step(net, engine, state, tasks)
        before = {n: p.detach().clone() for n, p in theta.items()}
        for _ in range(3):
            adam.zero_grad()
            ce(theta, next(iter(each(tasks))).support).backward()
            adam.step()
        with torch.no_grad():
            for n, p in theta.items():
                p.copy_(before[n] + 0.7 * (1 - step / 5) * (p - before[n]))
        assert_close(state.transfer.params, tree.detach(theta), 1e-10)
    for n, p in theta.items():
        assert_close({n: state.transfer.memory[f"second.{n}"]}, {n: adam.state[p]["exp_avg_sq"]}, 1e-10)
        assert abs(state.transfer.memory[f"mass.{n}"].item() - (1 - 0.8**15)) < 1e-12
    # A new task goes on from there: its first step is that optimiser's next.
    task = toy_task()
    ours = Descent(CarriedAdam(0.02, 0.8), 1)(net, state.transfer, task.support)
    adam.zero_grad()
    ce(theta, task.support).backward()
    adam.step()
    assert_close(ours, tree.detach(theta), 1e-10)
    anew = Descent(CarriedAdam(0.02, 0.8), 1)(net, replace(state.transfer, memory={}), task.support)
    assert max((ours[n] - anew[n]).abs().max() for n in ours) > 1e-3
    other = replace(state.transfer, memory={**state.transfer.memory, "second.head.weight": torch.ones(2, 5)})
    with pytest.raises(
        MetatlError, match=r"second of weight 'head.weight' has shape \[2, 5\] instead of \[3, 5\]"
    ):
        Descent(CarriedAdam(), 1)(net, other, task.support)


@engines
def test_reptile_carries_the_mean_of_what_its_tasks_leave(engine: Engine) -> None:
    """Three tasks a step, all from the same second moment; a fresh head has none to go on from."""
    net = toy_net()
    adaptation = Descent(CarriedAdam(0.05, 0.9), 2, Zeros())
    learner = Reptile(3, 3, adaptation=adaptation, schedule="constant")
    state = learner.init(net, net.start())
    phi, second, seen = net.start().params, tree.zeros(net.start().params), 0
    fresh = {n for n in phi if n.startswith("head")}
    for _ in range(2):
        tasks = toy_tasks(3)
        state, metrics = learner.step(net, engine, state, tasks)
        ends: list[tuple[Params, Params]] = []
        for task in each(tasks):
            p = {n: torch.zeros_like(w) if n in fresh else w for n, w in phi.items()}
            v = {n: torch.zeros_like(w) if n in fresh else w for n, w in second.items()}
            for step in (1, 2):
                g = torch.func.grad(ce)(p, task.support)
                v = {n: 0.9 * v[n] + 0.1 * g[n] ** 2 for n in g}
                count = {n: step if n in fresh else seen + step for n in g}
                p = {n: p[n] - 0.05 * g[n] / ((v[n] / (1 - 0.9 ** count[n])).sqrt() + 1e-8) for n in g}
            ends.append((p, v))
        phi = {n: w if n in fresh else sum(p[n] for p, _ in ends) / 3 for n, w in phi.items()}
        second = {n: sum(v[n] for _, v in ends) / 3 for n in phi}
        seen += 2
        assert_close(state.transfer.params, phi, 1e-10)
    memory = state.transfer.memory
    assert set(memory) == {f"{role}.{n}" for role in ("second", "mass") for n in phi if n not in fresh}
    assert_close(
        {n: memory[f"second.{n}"] for n in phi if n not in fresh},
        {n: second[n] for n in phi if n not in fresh},
        1e-10,
    )
    assert metrics["displacement_norm"] > 0


@pytest.mark.parametrize(("rule", "moving"), [("^head", "head"), ("^body", "body")], ids=["anil", "boil"])
def test_anil_and_boil_are_guides(rule: str, moving: str) -> None:
    """Head only, or body only, in the inner loop; the outer loop moves all (Raghu 2020; Oh 2021)."""
    net, episodes = toy_net(), toy_tasks(2)
    guide = ByName(((rule, 1.0), ("", 0.0)))
    learner = Episodic(1, 2, adaptation=Descent(SGD(0.4), 2), rule=SGD(1.0), guide=guide)
    state, _ = learner.step(net, Batched(), learner.init(net, net.start()), episodes)
    theta = variables(net.start().params)
    losses = []
    for task in each(episodes):
        p = dict(theta)
        for _ in range(2):
            part = {n: w for n, w in p.items() if n.startswith(moving)}
            inner = gradients(ce(p, task.support), part, create_graph=True)
            p = {n: w - 0.4 * inner[n] if n in inner else w for n, w in p.items()}
        losses.append(ce(p, task.query))
    outer = gradients(torch.stack(losses).mean(), theta)
    assert_close(state.transfer.params, tree.detach({n: p - outer[n] for n, p in theta.items()}), 1e-10)
    assert all(outer[n].abs().max() > 1e-3 for n in outer), "all of them move"


def test_maml_plus_plus_weighs_the_steps() -> None:
    """1/S each at first; the early ones fall by step / (S E) down to 0.03 / S, the rest goes to the last."""
    like = torch.zeros((), dtype=torch.float64)
    learner = Episodic(100, adaptation=Descent(SGD(0.1), 5), multi_step=50)
    for step in (0, 1, 10, 25, 49):
        weights = learner._step_weights(step, like)  # pyright: ignore[reportPrivateUsage]
        assert weights is not None
        early = max(1 / 5 - step / (5 * 50), 0.03 / 5)
        torch.testing.assert_close(
            weights, torch.tensor([0.0, *[early] * 4, 1 - 4 * early], dtype=torch.float64)
        )
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-15)
    assert learner._step_weights(50, like) is None  # pyright: ignore[reportPrivateUsage]
    net, episodes = toy_net(), toy_tasks(2)
    learner = Episodic(4, 2, adaptation=Descent(SGD(0.4), 2), rule=SGD(1.0), multi_step=4)
    state, _ = learner.step(net, Batched(), replace(learner.init(net, net.start()), step=2), episodes)
    theta = variables(net.start().params)
    losses = []
    for task in each(episodes):
        p, seen = theta, []
        for _ in range(2):
            inner = gradients(ce(p, task.support), p, create_graph=True)
            p = {n: w - 0.4 * inner[n] for n, w in p.items()}
            seen.append(ce(p, task.query))
        losses.append(0.25 * seen[0] + 0.75 * seen[1])
    outer = gradients(torch.stack(losses).mean(), theta)
    assert_close(state.transfer.params, tree.detach({n: p - outer[n] for n, p in theta.items()}), 1e-10)


def test_a_rate_for_every_layer_and_step_is_learned() -> None:
    """LSLR: the guide has a step axis, and only the row of a step gets that step's gradient."""
    net, episodes = toy_net(), toy_tasks(2)
    learner = Episodic(
        1, 2, adaptation=Descent(SGD(0.2), 2), rule=SGD(1.0), guide=PerStep(3), learn="init_and_guide"
    )
    begun = learner.init(net, net.start())
    state, _ = learner.step(net, Batched(), begun, episodes)
    theta, rates = net.start().params, variables(begun.transfer.guide)
    losses = []
    for task in each(episodes):
        p = theta
        for step in range(2):
            inner = torch.func.grad(ce)(p, task.support)
            p = {n: w - rates[n][step] * 0.2 * inner[n] for n, w in p.items()}
        losses.append(ce(p, task.query))
    outer = gradients(torch.stack(losses).mean(), rates)
    assert_close(state.transfer.guide, tree.detach({n: r - outer[n] for n, r in rates.items()}), 1e-10)
    assert all(bool((g[2] == 1).all()) and bool((g[1] != 1).any()) for g in state.transfer.guide.values())


def test_clip_bounds_every_entry_and_schedules_shrink_the_step() -> None:
    net, episodes = toy_net(), toy_tasks(2)
    learner = Episodic(10, 2, Tasks(), Descent(SGD(0.4), 1), SGD(1.0), clip=1e-3)
    start = net.start().params
    for schedule, size in [("constant", 1.0), ("linear", 0.7), ("cosine", 0.7938926261462366)]:
        scheduled = replace(learner, schedule=schedule)
        state, _ = scheduled.step(net, Loop(), replace(learner.init(net, net.start()), step=3), episodes)
        moved = tree.flat(tree.sub(state.transfer.params, start)).abs()
        assert float(moved.max()) == pytest.approx(1e-3 * size)
        assert float((moved > 0.999e-3 * size).double().mean()) > 0.5
