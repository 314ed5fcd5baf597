"""The outer gradient is the derivative of the outer loss: differences, FOMAML, Fisher, Adam."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent, displacement, query_loss
from metatl.engines import Loop
from metatl.guides import fisher
from metatl.heads import Prototypes, Ridge
from metatl.learners import Episodic, Scout
from metatl.objectives import L2SP, KLAnchor, TaskLoss
from metatl.rules import SGD, Adam, AdamW, CarriedAdam
from metatl.types import Batch, Episode, MetatlError, Params, Transfer
from tests.outer import Outer, outer_gradient
from tests.toys import assert_close, rows, scales, toy_data, toy_net, toy_task, toy_tasks, with_guide

CASES: dict[str, Descent] = {
    "maml": Descent(SGD(0.3), 2),
    "momentum and decay": Descent(SGD(0.2, 0.9, weight_decay=0.1), 3),
    "adam": Descent(Adam(0.1, eps_root=1e-3), 2),
    "adamw": Descent(AdamW(0.1, eps_root=1e-3, weight_decay=0.2), 2),
    "scaled gradients": Descent(Adam(0.1, eps_root=1e-3), 2, guided="gradient"),
    "prototypes": Descent(SGD(0.1), 2, Prototypes(2.0)),
    "ridge": Descent(SGD(0.1), 1, Ridge(0.5)),
    "transductive": Descent(SGD(0.3), 2, moments="batch"),
    "frozen": Descent(SGD(0.3), 2, moments="frozen"),
    "mini-batches": Descent(SGD(0.3), 4, batch_size=4),
}


def directions(*trees: Params) -> list[Params]:
    drawn = [{n: torch.randn_like(p) for n, p in t.items()} for t in trees]
    return [tree.scale(d, 1.0 / tree.norm(d)) for d in drawn]


@pytest.mark.parametrize(
    ("name", "every_step"),
    [*((n, False) for n in CASES), *((n, True) for n in ("maml", "adam", "mini-batches"))],
)
def test_meta_gradient_is_the_derivative(name: str, every_step: bool) -> None:
    """Central differences along random directions, for the weights and for a learned guide."""
    adaptation = CASES[name]
    weights = torch.arange(1.0, adaptation.steps + 2) if every_step else None
    net, episodes = toy_net(norm=True), toy_tasks(2)
    start = net.start()
    transfer = with_guide(start, tree.add(scales(start.params), tree.scale(tree.ones(start.params), 0.1)))
    found, metrics = outer_gradient(Loop(), net, transfer, adaptation, episodes, Outer("full", True, weights))
    by_params, by_guide = directions(transfer.params, transfer.guide)

    def loss(h: float, params: bool) -> float:
        at = Transfer(
            tree.add(transfer.params, tree.scale(by_params, h if params else 0.0)),
            tree.add(transfer.guide, tree.scale(by_guide, 0.0 if params else h)),
            transfer.buffers,
        )
        tasks = [tree.at(episodes, i) for i in range(2)]
        losses = [query_loss(net, adaptation, at, task, "full", None, weights)[0] for task in tasks]
        return float(torch.stack(losses).mean())

    for params, gradient, direction in [(True, found.params, by_params), (False, found.guide, by_guide)]:
        near, far = (loss(h, params) - loss(-h, params) for h in (1e-4, 2e-4))
        slope = (8 * near - far) / 12e-4  # the error of fourth order
        along = float(tree.flat(gradient) @ tree.flat(direction))
        assert abs(along - slope) < 1e-8 * max(1.0, abs(slope))
        assert abs(along) > 1e-4, "nothing to compare"
    if weights is None:
        assert abs(float(metrics["query_loss"]) - loss(0.0, True)) < 1e-12


def test_anchored_objectives_have_the_derivative_of_a_held_start() -> None:
    """The anchor is a constant of the task: compare with differences in which it stays where it is."""
    net, task = toy_net(), toy_task()
    start = net.start()
    adaptation = Descent(SGD(0.3), 3, terms=(KLAnchor(0.4), L2SP(0.5, 0.1)))
    logits = net(start.params, start.buffers, task.support.x).detach()

    def by_hand(params: Params) -> torch.Tensor:
        for _ in range(3):

            def inner(p: Params) -> torch.Tensor:
                log_p = net(p, start.buffers, task.support.x).log_softmax(-1)
                target = 0.6 * F.one_hot(task.support.y, 3).double() + 0.4 * logits.softmax(-1)
                pull = sum((p[n] - start.params[n]).square().sum() for n in p)
                return -(target * log_p).sum(-1).mean() + 0.25 * pull

            grads = torch.func.grad(inner)(params)
            params = {n: p - 0.3 * grads[n] for n, p in params.items()}
        return F.cross_entropy(net(params, start.buffers, task.query.x), task.query.y)

    episodes = tree.gather([task], torch.stack)
    found, _ = outer_gradient(Loop(), net, start, adaptation, episodes, Outer())
    assert_close(found.params, torch.func.grad(by_hand)(start.params), 1e-10)


@pytest.mark.parametrize("name", ["maml", "frozen", "mini-batches", "transductive"])
def test_first_order_is_the_query_gradient_at_the_adapted_weights(name: str) -> None:
    net, episodes = toy_net(), toy_tasks(3)
    transfer, adaptation = net.start(), CASES[name]
    found, _ = outer_gradient(Loop(), net, transfer, adaptation, episodes, Outer("first_order"))
    grads: list[Params] = []
    for i in range(3):
        task = tree.at(episodes, i)
        adapted = adaptation(net, transfer, task.support)
        grads.append(
            torch.func.grad(
                lambda p, t=task: F.cross_entropy(net(p, transfer.buffers, t.query.x), t.query.y)
            )(tree.detach(adapted))
        )
    mean = {n: torch.stack([g[n] for g in grads]).mean(0) for n in transfer.params}
    assert_close(found.params, mean, 1e-12)
    second, _ = outer_gradient(Loop(), net, transfer, adaptation, episodes, Outer("full"))
    assert tree.norm(tree.sub(second.params, mean)) > 1e-3 * tree.norm(mean), "orders do not differ here"


def test_second_moment_of_one_example_scouts_is_the_diagonal_fisher() -> None:
    """E[d^2] of one SGD step of rate 1 on single examples == empirical Fisher == explicit loop."""
    net, batch = toy_net(), rows(10)
    transfer, scout = net.start(), Descent(SGD(1.0), 1)
    examples = [Batch(batch.x[i : i + 1], batch.y[i : i + 1]) for i in range(10)]
    singles = [displacement(net, scout, transfer, one) for one in examples]
    moment = {n: torch.stack([d[n] for d in singles]).square().mean(0) for n in transfer.params}
    information = fisher(lambda p: net(p, transfer.buffers, batch.x), transfer.params, batch.y)
    assert_close(moment, information, 1e-12)
    by_hand = tree.zeros(transfer.params)
    for x, y, _ in examples:
        grads = torch.func.grad(lambda p, x=x, y=y: net(p, transfer.buffers, x).log_softmax(-1)[0, y[0]])(
            transfer.params
        )
        by_hand = {n: by_hand[n] + grads[n].square() / 10 for n in grads}
    assert_close(information, by_hand, 1e-12)


def test_the_scout_learner_gives_that_moment() -> None:
    """The learner's accumulated statistic over two groups is the mean over all scouts."""
    net, data = toy_net(dtype=torch.float32), toy_data()
    start = net.start()
    scout = Scout(2, 3, adaptation=Descent(SGD(0.1), 2, moments="batch"), outlier=1e9)
    scout = replace(scout, tasks=replace(scout.tasks, way=3, shot=2))
    state, moves = scout.init(net, start), []
    for step in range(2):
        drawn = scout.draw(data, 5, step)
        state, _ = scout.step(net, Loop(), state, drawn)
        moves += [displacement(net, scout.adaptation, start, tree.at(drawn, i).support) for i in range(3)]
    assert float(state.memory["count"]["scouts"]) == 6
    mean = {n: torch.stack([d[n] for d in moves]).square().mean(0) for n in start.params}
    assert_close(tree.scale(state.memory["sum"], 1 / 6), mean, 1e-5)


def test_differentiable_adam_needs_eps_root() -> None:
    net = toy_net(dtype=torch.float32)
    for rule in (Adam(0.1), AdamW(0.1), CarriedAdam(0.1)):
        learner = Episodic(adaptation=Descent(rule, 1))
        learner = replace(learner, tasks=replace(learner.tasks, way=3, shot=1, query=1))
        with pytest.raises(MetatlError, match="eps_root"):
            learner.check(net, net.start(), toy_data())
        replace(learner, unroll="first_order").check(net, net.start(), toy_data())
        rooted = replace(learner, adaptation=Descent(replace(rule, eps_root=1e-8), 1))
        rooted.check(net, net.start(), toy_data())


@pytest.mark.parametrize("eps_root", [0.0, 1e-6])
def test_why(eps_root: float) -> None:
    """A dead input has gradient 0 on its weights: without eps_root the outer gradient is NaN there."""
    net, task = toy_net(), toy_task()
    dead = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    task = Episode(Batch(task.support.x * dead, task.support.y), task.query)
    adaptation = Descent(Adam(0.1, eps_root=eps_root), 1)
    episodes = tree.gather([task], torch.stack)
    found, _ = outer_gradient(Loop(), net, net.start(), adaptation, episodes, Outer())
    finite = all(bool(g.isfinite().all()) for g in found.params.values())
    assert finite == (eps_root > 0)


def test_eps_root_stands_inside_the_corrected_root() -> None:
    g = {"w": torch.tensor([0.5, 0.0], dtype=torch.float64)}
    rule = Adam(0.1, eps=0.0, eps_root=0.11)
    updates, _ = rule.update(g, rule.init(g), g)
    torch.testing.assert_close(updates["w"], -0.1 * g["w"] / (g["w"] ** 2 + 0.11).sqrt())


def test_terms_share_one_loss() -> None:
    """TaskLoss has a weight: the outer gradient of weight w at rate a is that of rate w a."""
    net, episodes = toy_net(), toy_tasks(2)
    heavy = Descent(SGD(0.1), 2, terms=(TaskLoss(3.0),))
    fast = Descent(SGD(0.3), 2)
    ours, _ = outer_gradient(Loop(), net, net.start(), heavy, episodes, Outer())
    theirs, _ = outer_gradient(Loop(), net, net.start(), fast, episodes, Outer())
    assert_close(ours.params, theirs.params, 1e-10)
