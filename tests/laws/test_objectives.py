"""Losses by name keep the laws of terms, alike in the inner and the outer loop, on every engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metatl import Descent, Net, importing, tree
from metatl.adapt import QueryLoss, query_loss
from metatl.data import Tasks
from metatl.engines import Batched, Loop
from metatl.heads import Ridge
from metatl.learners import Episodic
from metatl.models import MLP
from metatl.objectives import (
    L2SP,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Huber,
    Own,
    Poisson,
    TaskLoss,
    Term,
)
from metatl.objectives.task_loss import nll
from metatl.objectives.term import Anchor
from metatl.rules import SGD
from metatl.testing import check_term
from metatl.types import Batch, Episode, MetatlError
from tests.toys import INPUTS, WAY, assert_close, toy_data, toy_net, toy_tasks


def absolute(output: Tensor, y: Tensor) -> Tensor:
    """A loss of one's own, a value for each row."""
    return (output - y).abs().mean(1)


def whole(output: Tensor, y: Tensor) -> Tensor:
    """A loss of one's own, one number."""
    return (output - y).square().mean()


def pairs(output: Tensor, y: Tensor) -> Tensor:
    """No loss."""
    return output[:2]


def targets(kind: str, rows: int) -> Tensor:
    if kind == "classes":
        return torch.arange(rows) % WAY
    values = torch.randn(rows, WAY, dtype=torch.float64)
    return {"several": values > 0, "soft": values.softmax(1), "counts": values.square(), "real": values}[kind]


HERE = __name__
DATA, TASKS = toy_data(), Tasks(WAY, 1, 2)
TERMS: dict[str, tuple[Term, str]] = {
    "several labels": (TaskLoss(0.5), "several"),
    "binary": (BinaryCrossEntropy(smoothing=0.1, positive=(1.0, 2.0, 0.5)), "several"),
    "binary, soft": (BinaryCrossEntropy(), "soft"),
    "cross-entropy": (CrossEntropy(2.0, 0.1, (1.0, 3.0, 0.5)), "classes"),
    "balanced": (CrossEntropy(classes="balanced"), "classes"),
    "soft": (CrossEntropy(classes="balanced"), "soft"),
    "focal": (Focal(alpha=(1.0, 2.0, 0.5)), "classes"),
    "focal, several": (Focal(gamma=1.0, alpha=(0.75, 0.25)), "several"),
    "huber": (Huber(delta=0.5), "real"),
    "poisson": (Poisson(), "counts"),
    "own": (Own(f"{HERE}.absolute"), "real"),
}


@pytest.mark.parametrize("name", TERMS)
def test_losses_keep_the_laws_of_terms(name: str) -> None:
    term, kind = TERMS[name]
    net = toy_net()
    batch = Batch(torch.randn(7, INPUTS, dtype=torch.float64), targets(kind, 7))
    check_term(term, net, net.start(), batch)


@pytest.mark.parametrize("name", TERMS)
def test_a_row_of_weight_k_is_k_rows(name: str) -> None:
    term, kind = TERMS[name]
    times = torch.tensor([1, 0, 2, 3, 1, 1])
    copies = torch.arange(6).repeat_interleave(times)
    output, y = torch.randn(6, WAY, dtype=torch.float64), targets(kind, 6)
    weighted = term({}, output, Batch(None, y, times.double()), Anchor({}, None))
    copied = term({}, output[copies], Batch(None, y[copies]), Anchor({}, None))
    torch.testing.assert_close(weighted, copied, rtol=1e-12, atol=1e-12)


def episodes(kind: str) -> Episode:
    drawn = toy_tasks(3)
    y = [torch.stack([targets(kind, n) for _ in range(3)]) for n in (6, 9)]
    weight = torch.tensor([1.0, 2, 0, 1, 3, 1, 1, 1, 1], dtype=torch.float64).expand(3, 9)
    return Episode(drawn.support._replace(y=y[0]), drawn.query._replace(y=y[1], weight=weight))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("unroll", ["full", "first_order"])
def test_every_engine_gives_the_same_gradient(name: str, unroll: Any) -> None:
    """The term acts on support and query rows; many calls, so that the recorded gradient is seen too."""
    term, kind = TERMS[name]
    net = toy_net()
    loss = QueryLoss(net, Descent(SGD(0.1), 2, terms=(term,)), net.start(), unroll, objective=term)
    found = [
        engine.grad(loss, loss.variables, episodes_, calls)
        for engine, calls in ((Loop(), 1), (Batched(), 1), (Batched(), 1000))
        for episodes_ in [tree.apply(torch.clone, FIXED[kind])]
    ]
    for grads, metrics in found[1:]:
        assert_close(grads, found[0][0], 1e-9)
        assert_close(metrics, found[0][1], 1e-9)


torch.manual_seed(5)
FIXED = {kind: episodes(kind) for kind in ("classes", "several", "soft", "counts", "real")}


@pytest.mark.parametrize("name", ["focal", "several labels", "balanced", "poisson"])
def test_the_meta_gradient_is_that_of_finite_differences(name: str) -> None:
    term, kind = TERMS[name]
    net, episode = toy_net(), tree.at(FIXED[kind], 1)
    start, adaptation = net.start(), Descent(SGD(0.2), 2, terms=(term,))
    loss = QueryLoss(net, adaptation, start, objective=term)
    grads, _ = Loop().grad(loss, loss.variables, tree.apply(lambda leaf: leaf[None], episode))
    step = {key: torch.cos(torch.arange(g.numel()).to(g).view_as(g)) for key, g in grads.items()}

    def at(size: float) -> Tensor:
        moved = {key.partition(".")[2]: loss.variables[key] + size * step[key] for key in step}
        return query_loss(net, adaptation, replace(start, params=moved), episode, "full", objective=term)[0]

    along = sum(float((grads[key] * step[key]).sum()) for key in grads)
    assert float((at(1e-5) - at(-1e-5)) / 2e-5) == pytest.approx(along, rel=1e-5)


def test_the_outer_loss_is_another_than_the_inner_one() -> None:
    net, episode = toy_net(), tree.at(FIXED["classes"], 0)
    adaptation = Descent(SGD(0.2), 2)
    smoothed, metrics = query_loss(
        net, adaptation, net.start(), episode, "full", objective=CrossEntropy(smoothing=0.5)
    )
    plain, other = query_loss(net, adaptation, net.start(), episode, "full")
    output = adaptation.answer(net, net.start(), episode)
    assert torch.equal(plain, nll(output, episode.query.y, episode.query.weight))
    assert not torch.equal(smoothed, plain)
    assert torch.equal(metrics["inner_loss/0"], other["inner_loss/0"])
    with pytest.raises(MetatlError, match="L2SP is no loss of query rows"):
        Episodic(tasks=TASKS, objective=L2SP()).check(net, net.start(), DATA)


def test_a_learner_takes_the_loss_of_its_query_rows() -> None:
    net = Net.of(MLP((INPUTS,), WAY, (5,)))
    states = []
    for term in (TaskLoss(), Focal()):
        learner = Episodic(2, 2, TASKS, Descent(SGD(0.1), 1), objective=term)
        learner.check(net, net.start(), DATA)
        state = learner.init(net, net.start())
        states.append(learner.step(net, Batched(), state, learner.draw(DATA, 0, 0))[0])
    assert not torch.equal(states[0].transfer.params["head.weight"], states[1].transfer.params["head.weight"])


REFUSED: dict[str, tuple[Any, str]] = {
    "smoothing": (lambda: CrossEntropy(smoothing=1.5), "from 0 to 1"),
    "class weights": (lambda: CrossEntropy(classes=(1.0, -1.0)), "finite numbers, 0 or more"),
    "a word": (lambda: CrossEntropy(classes="balance"), "balanced or null"),  # type: ignore[arg-type]
    "gamma": (lambda: Focal(gamma=-1.0), "0 or more"),
    "delta": (lambda: Huber(delta=0.0), "above 0"),
    "no module": (lambda: Own("no_such_module.loss"), "cannot be imported"),
    "no function": (lambda: Own(f"{HERE}.nothing"), "cannot be imported"),
    "a file that was received": (lambda: received(Own, f"{HERE}.absolute"), "--trust"),
    "the system": (lambda: Own("os.system"), "not imported"),
    "classes for real": (lambda: call(Huber(), "classes"), "Huber needs real values; .* class labels"),
    "real for several": (lambda: call(Focal(), "real"), "Focal needs class labels or several labels"),
    "classes for several": (lambda: call(BinaryCrossEntropy(), "classes"), "these targets are class labels"),
    "several by name": (lambda: Huber()({}, OUT, Batch(None, {}), Anchor({}, None)), "takes one target"),
    "too few weights": (
        lambda: call(CrossEntropy(classes=(1.0, 2.0)), "classes"),
        "2 numbers, and there are 3",
    ),
    "one number for rows": (lambda: call(Own(f"{HERE}.whole"), "real", torch.ones(6)), "loss for each row"),
    "no loss": (lambda: call(Own(f"{HERE}.pairs"), "real"), "gives .* for 6 rows"),
    "other pixels": (
        lambda: TaskLoss()(
            {}, torch.zeros(2, 3, 4, 4), Batch(None, torch.zeros(2, 4, 3).long()), Anchor({}, None)
        ),
        "do not pair",
    ),
    "a count below 0": (lambda: adapted(Poisson(), -torch.ones(6, WAY, dtype=torch.float64)), "0 or more"),
}
OUT = torch.zeros(6, WAY, dtype=torch.float64)


def call(term: Term, kind: str, weight: Tensor | None = None) -> Tensor:
    return term({}, OUT, Batch(None, targets(kind, 6), weight), Anchor({}, None))


def received(made: Any, path: str) -> Any:
    """As a command makes it of a config that somebody sent."""
    with importing.command(), importing.received(False):
        return made(path)


def adapted(term: Term, y: Tensor) -> None:
    net = toy_net()
    Descent(terms=(term,))(net, net.start(), Batch(torch.randn(6, INPUTS, dtype=torch.float64), y))


@pytest.mark.parametrize("case", REFUSED)
def test_what_means_nothing_is_refused(case: str) -> None:
    made, said = REFUSED[case]
    with pytest.raises(MetatlError, match=said):
        made()


def test_a_ridge_head_starts_several_labels() -> None:
    """Of 1 and -1, so that a label holds where its output is above 0."""
    net = toy_net()
    x = torch.randn(40, INPUTS, dtype=torch.float64)
    y = torch.stack([x[:, 0] > 0, x[:, 1] > 0, x[:, 0] < 0], 1)
    adaptation = Descent(SGD(0.1), 0, Ridge(0.01))
    output = adaptation.predict(
        net, net.start(), adaptation.fit(net, net.start(), Batch(x, y)), Batch(x, y), x
    )
    assert float(((output > 0) == y).double().mean()) > 0.8
