"""Protocols: what a prediction may depend on, and that evaluating is a pure function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from metatl.adapt import Descent, predict
from metatl.data import Tasks
from metatl.engines import Batched, Loop
from metatl.evaluation.evaluate import Evaluation, Report, evaluate
from metatl.guides import Unfreeze
from metatl.heads import Learned, Prototypes, Zeros
from metatl.rules import SGD
from metatl.types import Batch, Episode, MetatlError, Moments
from tests.toys import assert_bitwise, toy_data, toy_net, toy_task, with_guide

EVALUATION = Evaluation(Tasks(3, 2, 4), episodes=21, select_episodes=5, chunk=8)


@pytest.mark.parametrize("head", [Zeros(), Prototypes(), Learned()], ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("moments", ["support", "frozen", "batch"])
def test_an_inductive_prediction_does_not_depend_on_the_other_queries(moments: Moments, head: Zeros) -> None:
    net, task = toy_net(norm=True), toy_task(6, 9)
    start, adaptation = net.start(), Descent(SGD(0.1), 2, head, moments=moments)
    params = adaptation(net, start, task.support)
    others = task.query.x.clone()
    others[1:] = 10 * torch.randn_like(others[1:])
    swapped = Episode(task.support, Batch(others, task.query.y))
    first, again = (predict(net, params, start, episode, moments)[0] for episode in (task, swapped))
    if moments == "batch":
        assert (first - again).abs().max() > 1e-2
    else:
        torch.testing.assert_close(first, again, rtol=0, atol=1e-12)
        alone = Episode(task.support, Batch(others[:1], task.query.y[:1]))
        torch.testing.assert_close(first, predict(net, params, start, alone, moments)[0], rtol=0, atol=1e-12)


def test_a_net_without_batch_moments_is_inductive_under_every_name() -> None:
    net, task = toy_net(), toy_task()
    start = net.start()
    found = [predict(net, start.params, start, task, m) for m in ("batch", "support", "frozen")]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_support_moments_are_those_of_the_support_rows() -> None:
    """By hand: a norm with the mean and variance of the support rows' own pass."""
    net, task = toy_net(norm=True), toy_task()
    start, p = net.start(), net.start().params

    def before(x: torch.Tensor) -> torch.Tensor:
        return x @ p["body.0.weight"].T + p["body.0.bias"]

    rows = before(task.support.x)
    x = (before(task.query.x) - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
    x = torch.tanh(x * p["body.1.weight"] + p["body.1.bias"])
    expected = x @ p["head.weight"].T + p["head.bias"]
    torch.testing.assert_close(predict(net, p, start, task, "support"), expected)


def found(engine: Batched | Loop, evaluation: Evaluation, moments: Moments = "support") -> Report:
    torch.manual_seed(3)
    net = toy_net(norm=True, dtype=torch.float32)
    adaptation = Descent(SGD(0.1), 3, Zeros(), moments=moments)
    return evaluate(net, net.start(), adaptation, toy_data(), evaluation, engine)


@pytest.mark.parametrize("engine", [Batched(), Loop()], ids=["batched", "loop"])
def test_evaluating_twice_gives_the_same_bytes(engine: Batched | Loop) -> None:
    one, two = found(engine, EVALUATION), found(engine, EVALUATION)
    assert one.scores.tobytes() == two.scores.tobytes()
    assert one.protocol == two.protocol
    assert one.scores.shape == (21,)
    assert one.scores.std() > 0
    assert 0.34 < one.mean < 1.0, "better than chance, and not saturated"


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_chunks_change_no_score(chunk: int) -> None:
    whole = found(Batched(), EVALUATION)
    np.testing.assert_allclose(
        found(Batched(), replace(EVALUATION, chunk=chunk)).scores, whole.scores, atol=1e-6
    )
    np.testing.assert_allclose(found(Batched(2), EVALUATION).scores, whole.scores, atol=1e-6)
    np.testing.assert_allclose(found(Loop(), EVALUATION).scores, whole.scores, atol=1e-6)


def test_the_first_episodes_of_a_longer_evaluation_are_those_of_a_shorter_one() -> None:
    short, long = (found(Batched(), replace(EVALUATION, episodes=n)) for n in (10, 21))
    np.testing.assert_allclose(long.scores[:10], short.scores, atol=1e-6)
    assert short.protocol["episodes_hash"] != long.protocol["episodes_hash"]


def test_the_interval_is_that_of_a_mean() -> None:
    scores = np.array([0.2, 0.4, 0.9, 0.5])
    report = Report("m", scores, {})
    assert report.ci95 == pytest.approx(3.182446305284263 * np.std(scores, ddof=1) / 2)
    assert report.mean == pytest.approx(0.5)
    assert Report("m", scores[:1], {}).ci95 is None
    assert Report("m", np.ones(600), {}).ci95 == 0.0


@pytest.mark.parametrize(("moments", "said"), [("batch", True), ("support", False), ("frozen", False)])
def test_reports_say_whether_they_are_transductive(moments: Moments, said: bool) -> None:
    protocol = found(Batched(), replace(EVALUATION, episodes=2), moments).protocol
    assert protocol["transductive"] is said
    assert protocol["moments"] == moments
    assert (protocol["way"], protocol["shot"], protocol["query"]) == (3, 2, 4)


def test_scores_are_the_accuracies_of_adapted_weights() -> None:
    """Episode by episode, by hand."""
    report = found(Batched(), EVALUATION)
    torch.manual_seed(3)
    net, data = toy_net(norm=True, dtype=torch.float32), toy_data()
    start, adaptation = net.start(), Descent(SGD(0.1), 3, Zeros())
    for i in (0, 9, 20):
        drawn = data.draw("meta_test", EVALUATION.tasks, 0, i, 1)
        task = Episode(
            Batch(drawn.support.x[0], drawn.support.y[0]), Batch(drawn.query.x[0], drawn.query.y[0])
        )
        output = predict(net, adaptation(net, start, task.support), start, task, "support")
        assert report.scores[i] == pytest.approx(
            float((output.argmax(1) == task.query.y).double().mean()), abs=1e-6
        )


def test_trainable_weights_are_those_that_a_task_may_move() -> None:
    net, data = toy_net(dtype=torch.float32), toy_data()
    start = net.start()
    for transfer, steps, expected in [
        (start, 3, 4 * 5 + 5 + 5 * 3 + 3),
        (start, 0, 0),
        (with_guide(start, {n: torch.tensor(float("head" in n)) for n in start.params}), 3, 5 * 3 + 3),
        (with_guide(start, Unfreeze(2)(net, start)), 2, 5 * 3 + 3),
        (with_guide(start, Unfreeze(2)(net, start)), 3, 4 * 5 + 5 + 5 * 3 + 3),
    ]:
        adaptation = Descent(SGD(0.1), steps, Zeros())
        report = evaluate(net, transfer, adaptation, data, replace(EVALUATION, episodes=2), Loop())
        assert report.facts["trainable"] == expected


def test_evaluating_changes_nothing_that_is_carried() -> None:
    net = toy_net(norm=True, dtype=torch.float32)
    start = net.start()
    before = {n: p.clone() for n, p in (start.params | start.buffers).items()}
    evaluate(net, start, Descent(SGD(0.5), 3), toy_data(), replace(EVALUATION, episodes=2), Batched())
    assert_bitwise(start.params | start.buffers, before)


def test_what_does_not_fit_is_refused_before_any_work() -> None:
    net = toy_net(outputs=4, dtype=torch.float32)
    data, few = toy_data(), replace(EVALUATION, episodes=2)
    with pytest.raises(MetatlError, match="carries 4 outputs but the episodes need 3"):
        evaluate(net, net.start(), Descent(), data, few, Loop())
    for tasks in (Tasks(9, 1, 1), Tasks(3, 8, 3), Tasks(3, 1, 0)):
        with pytest.raises(MetatlError):
            evaluate(net, net.start(), Descent(head=Zeros()), data, replace(few, tasks=tasks), Loop())
    for wrong in (
        dict(moments="support rows"),
        dict(guided="both"),
        dict(steps=-1),
        dict(batch_size=0),
        dict(terms=()),
    ):
        with pytest.raises(MetatlError, match=r"adaptation|Descent"):
            Descent(**wrong)  # type: ignore[arg-type]
    with pytest.raises(MetatlError, match="nesterov"):
        SGD(0.1, nesterov=True)
