"""Anchors and what else holds a net to what it knew: EWC, L2-SP-Fisher, distillation; RFS and Baseline++."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import ClosedForm, Descent
from metatl.adapt.solvers import CosineClassifier, UnitLogistic
from metatl.adapt.solvers.solver import ABSENT
from metatl.data.source import Tasks
from metatl.engines import Batched, Loop
from metatl.heads import Ridge, Zeros
from metatl.learners import Importance, State
from metatl.net import Net
from metatl.objectives import EWC, L2SP, Anchor, CrossEntropy, Distillation, TaskLoss
from metatl.rules import SGD
from metatl.testing import check_adaptation, check_learner, check_term
from metatl.types import Batch, MetatlError, Params, Transfer
from tests.toys import WAY, assert_close, toy_data, toy_net, toy_task, toy_tasks

NOTHING = Batch(torch.zeros(0))


def important(net: Net) -> Transfer:
    start = net.start()
    body = tree.split(start.params, net.is_head)[1]
    return replace(start, memory={f"importance.{n}": torch.rand_like(p) for n, p in body.items()})


def test_ewc_by_hand() -> None:
    """alpha / 2 sum F (w - w0)^2 and its gradient alpha F (w - w0), in one step of a descent."""
    net, task = toy_net(), toy_task()
    start = important(net)
    descent = Descent(SGD(0.1), 1, Zeros(), (TaskLoss(), EWC(0.6, 0.3)), moments="frozen")
    objective = descent.inner(net, start, task.support).objective
    moved = {n: p + 0.1 * torch.randn_like(p) for n, p in Zeros().init(net, start, task.support)[0].items()}
    piece = next(descent.inner(net, start, task.support).pieces)
    output = net(moved, {}, task.support.x).detach()
    found = grad(lambda p: objective(p, output, piece))(moved)
    for name, leaf in moved.items():
        if net.is_head(name):
            expected = 0.3 * leaf
        else:
            expected = 0.6 * start.memory[f"importance.{name}"] * (leaf - start.params[name])
        torch.testing.assert_close(found[name], expected, rtol=1e-10, atol=1e-12)
    carried = {f"{n}": start.memory[f"importance.{n}"] for n in start.params if not net.is_head(n)}
    at_start = EWC()(start.params, output, NOTHING, Anchor(start.params, None, importance=carried))
    assert float(at_start) == 0.0


def test_where_all_weights_matter_alike_it_is_l2_sp() -> None:
    net, task = toy_net(), toy_task()
    ones = {key: torch.ones_like(leaf) for key, leaf in important(net).memory.items()}
    one, other = (
        Descent(SGD(0.3), 4, Zeros(), (TaskLoss(), term), moments="frozen")(
            net, replace(net.start(), memory=ones), task.support
        )
        for term in (EWC(0.5, 0.2), L2SP(0.5, 0.2))
    )
    assert_close(one, other)


def test_ewc_without_importance_is_one_line() -> None:
    net, task = toy_net(), toy_task()
    with pytest.raises(MetatlError, match="learn it with the learner Importance"):
        Descent(SGD(0.1), 1, terms=(TaskLoss(), EWC()))(net, net.start(), task.support)
    with pytest.raises(MetatlError, match="alpha is -1"):
        EWC(-1.0)
    check_term(EWC(0.4), net, important(net), task.support)


def test_engines_agree_on_ewc() -> None:
    net = toy_net()
    descent = Descent(SGD(0.3), 3, Zeros(), (TaskLoss(), EWC(0.5, 0.2)), moments="frozen")
    start, tasks = important(net), toy_tasks(3)
    one, other = (e.map(lambda task: descent(net, start, task.support), tasks) for e in (Batched(), Loop()))
    assert_close(one, other, 1e-9)


def test_importance_is_the_fisher_information_of_source_tasks() -> None:
    """Row by row with torch's autograd, at an output layer made from each task's support rows."""
    net, data = toy_net(dtype=torch.float32), toy_data()
    learner = Importance(3, Tasks(3, 4, 2))
    state = learner.init(net, net.start())
    expected: Params = {}
    for step in range(3):
        drawn = learner.draw(data, 0, step)
        state, _ = learner.step(net, Loop(), state, drawn)
        task = tree.apply(lambda leaf: leaf[0], drawn)
        params = Ridge().init(net, net.start(), task.support)[0]
        leaves = {n: p.detach().clone().requires_grad_() for n, p in params.items()}
        for row in range(len(task.query.y)):
            log_p = net(leaves, {}, task.query.x[row : row + 1]).log_softmax(-1)[0, task.query.y[row]]
            for n, g in zip(leaves, torch.autograd.grad(log_p, list(leaves.values())), strict=True):
                expected[n] = expected.get(n, torch.zeros_like(g)) + g.square() / len(task.query.y)
    body = tree.split(expected, net.is_head)[1]
    mean = tree.flat(body).mean()
    found = learner.finish(net, state)
    assert_close(found.memory, {f"importance.{n}": leaf / mean for n, leaf in body.items()}, 1e-4)
    assert found.params is state.transfer.params
    assert isinstance(state, State)
    check_learner(Importance(2, Tasks(3, 4, 2)), net, net.start(), data)
    with pytest.raises(MetatlError, match="is not Zeros"):
        Importance(head=Zeros())


def soft(teacher: Tensor, y: Tensor, alpha: float) -> Tensor:
    return (1 - alpha) * F.one_hot(y, WAY).double() + alpha * teacher.softmax(-1)


@pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 2.0), (0.3, 1.0), (0.5, 4.0), (1.0, 3.0)])
def test_distillation_has_the_published_gradient(alpha: float, temperature: float) -> None:
    """d / dlogit = (1 - alpha) (p - onehot) + alpha T (p_T - q_T), over the rows."""
    z, v = torch.randn(5, WAY, dtype=torch.float64), torch.randn(5, WAY, dtype=torch.float64)
    y = torch.arange(5) % WAY
    term, anchor = Distillation(alpha, temperature), Anchor({}, None)
    found = grad(lambda logits: term({}, logits, Batch(z, {"labels": y, "teacher": v}), anchor))(z)
    hard = z.softmax(-1) - F.one_hot(y, WAY)
    kind = (z / temperature).softmax(-1) - (v / temperature).softmax(-1)
    torch.testing.assert_close(found, ((1 - alpha) * hard + alpha * temperature * kind) / 5)


def test_at_temperature_one_it_is_the_interpolated_target() -> None:
    net, task = toy_net(), toy_task()
    teacher = torch.randn(6, WAY, dtype=torch.float64)
    y = {"labels": task.support.y, "teacher": teacher}
    one = Descent(SGD(0.4, 0.9), 5, Zeros(), (Distillation(0.3, 1.0),), batch_size=4)
    other = replace(one, terms=(CrossEntropy(),))
    found = one(net, net.start(), Batch(task.support.x, y))
    assert_close(
        found, other(net, net.start(), Batch(task.support.x, soft(teacher, task.support.y, 0.3))), 1e-9
    )


def test_distillation_of_what_is_no_teacher_is_one_line() -> None:
    net, task = toy_net(), toy_task()
    descent = Descent(SGD(0.4), 1, terms=(Distillation(),))
    with pytest.raises(MetatlError, match="Distillation needs targets"):
        descent(net, net.start(), task.support)
    with pytest.raises(MetatlError, match=r"the teacher's outputs are \[6, 2\], the net's \[6, 3\]"):
        descent(
            net, net.start(), Batch(task.support.x, {"labels": task.support.y, "teacher": torch.zeros(6, 2)})
        )
    with pytest.raises(MetatlError, match="temperature above 0"):
        Distillation(0.5, 0.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_rfs_is_scikit_learns_regression_on_features_of_length_1(weighted: bool) -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    x, y = 3 + torch.randn(30, 6, dtype=torch.float64), torch.arange(30) % WAY
    weight = torch.rand(30, dtype=torch.float64) if weighted else None
    found = UnitLogistic().fit(x, y, WAY, weight)
    z = F.normalize(x).numpy()
    theirs = sklearn.LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000)
    theirs.fit(z, y, sample_weight=None if weight is None else weight.numpy())
    np.testing.assert_allclose(found.weight, theirs.coef_, rtol=1e-5, atol=1e-6)
    p = UnitLogistic().predict(found, 7 * x).softmax(-1)
    np.testing.assert_allclose(p, theirs.predict_proba(z), rtol=1e-5)


def published(x: Tensor, y: Tensor, solver: CosineClassifier) -> nn.Module:
    """A weight-normed layer without bias, under torch's SGD, on the same start and order of rows."""
    draw, d = np.random.default_rng(solver.seed), x.shape[1]
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(d, WAY, bias=False).double(), dim=0)
    start = torch.from_numpy(draw.uniform(-1 / math.sqrt(d), 1 / math.sqrt(d), (WAY, d)))
    with torch.no_grad():
        layer.parametrizations.weight.original1.copy_(start)
        layer.parametrizations.weight.original0.copy_(start.norm(dim=1, keepdim=True))
    optimiser = torch.optim.SGD(layer.parameters(), 0.01, momentum=0.9, dampening=0.9, weight_decay=1e-3)
    for _ in range(solver.epochs):
        for some in torch.from_numpy(draw.permutation(len(x))).split(4):
            optimiser.zero_grad()
            F.cross_entropy(2 * layer(F.normalize(x[some])), y[some]).backward()
            optimiser.step()
    return layer


def test_baseline_plus_plus_as_published() -> None:
    x, y = torch.randn(11, 6, dtype=torch.float64), torch.arange(11) % WAY
    solver = CosineClassifier(epochs=12)
    found = solver.predict(solver.fit(x, y, WAY), 5 * x)
    torch.testing.assert_close(found, 2 * published(x, y, solver)(F.normalize(x)).detach())


def test_the_cosine_classifier_keeps_what_solvers_keep() -> None:
    net, solver = toy_net(), CosineClassifier(epochs=3)
    check_adaptation(ClosedForm(solver), net, net.start(), toy_tasks(3))
    x, y = torch.randn(8, 5), torch.arange(8) % 2
    assert (solver.predict(solver.fit(x, y, WAY), x)[:, 2] == ABSENT).all()
    weight = torch.tensor([1.0, 1, 1, 1, 1, 1, 0, 0])
    turned = torch.where(torch.arange(8)[:, None] > 5, 9 * x.flip(1), x)
    one, other = (solver.fit(rows, y, WAY, weight).weight for rows in (x, turned))
    assert torch.equal(one, other), "a row of weight 0 is not looked at"
    assert not torch.equal(one, solver.fit(x, y, WAY).weight)
    short = replace(solver, epochs=100, most=4)
    assert torch.equal(short.fit(x, y, WAY).weight, replace(solver, epochs=2).fit(x, y, WAY).weight)
    with pytest.raises(MetatlError, match="scale is above 0"):
        CosineClassifier(scale=0.0)
    with pytest.raises(MetatlError, match="class labels"):
        solver.fit(x, x[:, 0], 1)
