"""Random patterns to memorise are all different, their subsets apart; and what the study needs beside."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from metatl import tree
from metatl.data import Patterns, Tasks
from metatl.engines import Batched, Loop
from metatl.guides import Constant, LayerMean, Permuted
from metatl.learners import Supervised, Until
from metatl.models import MLP
from metatl.net import Net
from metatl.objectives import Anchor, OneHot
from metatl.rules import SGD
from metatl.train import train
from metatl.types import Batch, MetatlError, Transfer
from tests.toys import assert_bitwise, assert_close, toy_data, toy_net, toy_task, toy_tasks

SMALL = Patterns(bits=8, categories=6, examples=9, subsets=5, seed=3)
TASKS = Tasks(3, 4, 2)


def sets(split: str, count: int, source: Patterns = SMALL) -> list[frozenset[int]]:
    episode = source.load().draw(split, TASKS, 0, 0, count)  # type: ignore[arg-type]
    return [frozenset(y.tolist()) for y in episode.support.y]


@pytest.mark.parametrize(
    "own", [SMALL, Patterns(), Patterns(bits=8, categories=4, examples=64), Patterns(bits=62)]
)
def test_patterns_are_different_bits_that_the_seed_decides(own: Patterns) -> None:
    x = own.load().x
    assert x.shape == (own.categories, own.examples, own.bits)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert len(x.flatten(0, 1).unique(dim=0)) == own.categories * own.examples
    assert (x.mean((0, 1)) - 0.5).abs().max() < 2.5 / len(x.flatten(0, 1)) ** 0.5
    assert torch.equal(own.load().x, x)
    assert not torch.equal(replace(own, seed=own.seed + 1).load().x, x)


def test_subsets_are_apart_but_for_the_scouts_own() -> None:
    own, val, test = sets("meta_train", 5), sets("meta_val", 5), sets("meta_test", 10)
    assert all(len(classes) == 3 for classes in own + val + test)
    assert test[:5] == own
    assert len({*own, *val, *test[5:]}) == 15
    assert sets("meta_train", 7)[5:] == own[:2], "they come round again"
    assert sets("meta_train", 5, replace(SMALL, seed=4)) != own


def test_an_episode_scores_the_rows_it_learns() -> None:
    data = SMALL.load()
    episode = data.draw("meta_val", TASKS, 0, 0, 5)
    assert torch.equal(episode.query.x, episode.support.x[:, :6])
    assert torch.equal(episode.query.y, episode.support.y[:, :6])
    for x, y in zip(episode.support.x, episode.support.y, strict=True):
        assert torch.equal(y.view(4, 3), y[:3].expand(4, 3)), "round by round"
        assert len(x.unique(dim=0)) == 12
        for row, label in zip(x, y, strict=True):
            assert bool((data.x[label] == row).all(-1).any()), "labels are categories"
    single = data.draw("meta_val", TASKS, 0, 3, 1)
    assert torch.equal(single.support.x[0], episode.support.x[3])
    assert not torch.equal(data.draw("meta_val", TASKS, 1, 3, 1).support.x, single.support.x)
    prints = {
        data.fingerprint(split, TASKS, seed, 4) for split in ("meta_val", "meta_test") for seed in (0, 1)
    }
    assert len(prints) == 4
    assert data.fingerprint("meta_val", TASKS, 0, 4) == SMALL.load().fingerprint("meta_val", TASKS, 0, 4)
    assert data.outputs(TASKS) == data.classes("meta_train") == 6


def test_batches_go_through_everything_in_one_order() -> None:
    data = SMALL.load()
    rounds = [data.batch("meta_train", 18, 0, step) for step in range(6)]
    assert len(torch.cat([b.x for b in rounds[:3]]).unique(dim=0)) == 54
    assert all(torch.equal(a.x, b.x) for a, b in zip(rounds[:3], rounds[3:], strict=True))
    assert all(
        bool((data.x[label] == row).all(-1).any())
        for row, label in zip(rounds[0].x, rounds[0].y, strict=True)
    )
    assert not torch.equal(data.batch("meta_train", 18, 1, 0).x, rounds[0].x)


@pytest.mark.parametrize(
    ("own", "tasks", "message"),
    [
        (replace(SMALL, bits=5), TASKS, "5 bits have no 54 different patterns"),
        (replace(SMALL, bits=0), TASKS, "bits must be 1 .. 62"),
        (replace(SMALL, subsets=7), TASKS, "have 20 subsets of 3, but three times 7"),
        (SMALL, Tasks(7, 1, 1), "has 6 categories of 9 examples"),
        (SMALL, Tasks(3, 2, 3), "query is at most shot"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(own: Patterns, tasks: Tasks, message: str) -> None:
    with pytest.raises(MetatlError, match=message) as error:
        own.load().check("meta_test", tasks)
    assert "\n" not in str(error.value)


def test_one_hot_error_by_hand() -> None:
    output = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([2, 0, 2, 1])
    value = OneHot(0.5)({}, output, Batch(output, y), Anchor({}, None))
    target = torch.zeros(4, 3, dtype=torch.float64)
    target[range(4), y] = 1
    torch.testing.assert_close(value, 0.5 * ((output - target) ** 2).sum() / 12)
    torch.testing.assert_close(torch.autograd.grad(value, output)[0], (output - target).detach() / 12)
    with pytest.raises(MetatlError, match="class labels"):
        OneHot()({}, output, Batch(output, output), Anchor({}, None))


def test_one_hot_error_of_many_tasks_at_once() -> None:
    from metatl.adapt import Descent, displacement

    net, tasks = toy_net(), toy_tasks(3)
    adaptation, start = Descent(SGD(0.3), 4, terms=(OneHot(),)), net.start()
    each, together = (
        engine.map(lambda task: displacement(net, adaptation, start, task.support), tasks)
        for engine in (Loop(), Batched())
    )
    assert_close(together, each)
    assert float(tree.norm(each)) > 0.01
    assert toy_task().support.y.max() < 3


def test_until_rests_where_it_was_good_enough() -> None:
    data, inner = toy_data(), Supervised(60, 20, SGD(0.5), schedule="constant")
    net = Net.of(MLP((4,), 8, (16,)))
    scores: list[float] = []
    seen: list[Transfer] = []
    learner = Until(inner, 0.6, 5)
    state = train(
        learner, net, Loop(), learner.init(net, net.start()), data, 0,
        [lambda s, m: scores.append(float(m["score"])), lambda s, m: seen.append(s.transfer)],
    )  # fmt: skip
    since = int(state.memory["until"]["rests_since"])
    looks = [sum(scores[i : i + 5]) / 5 for i in range(0, since, 5)]
    assert 5 < since < 60
    assert since % 5 == 0
    assert looks[-1] >= 0.6 > max(looks[:-1])
    assert state.step == 60
    short = replace(inner, steps=since)
    plain = train(short, net, Loop(), short.init(net, net.start()), data, 0)
    assert_bitwise(learner.finish(net, state).params, plain.transfer.params)
    assert_bitwise(seen[since - 1].params, state.transfer.params)
    never = Until(inner, 1.1, 5)
    state = train(never, net, Loop(), never.init(net, net.start()), data, 0)
    whole = train(inner, net, Loop(), inner.init(net, net.start()), data, 0)
    assert_bitwise(state.transfer.params, whole.transfer.params)
    with pytest.raises(MetatlError, match="1 step or more"):
        Until(inner, 0.5, 0)


def test_controls_of_a_carried_head() -> None:
    net = toy_net()
    start = net.start()
    carried = Transfer(start.params, {n: torch.rand_like(p) for n, p in start.params.items()}, start.buffers)
    permuted, mean, constant = (
        control(net, carried) for control in (Permuted(head=True), LayerMean(head=True), Constant(head=True))
    )
    for n, entry in carried.guide.items():
        assert torch.equal(permuted[n].flatten().sort().values, entry.flatten().sort().values)
        torch.testing.assert_close(mean[n], torch.full_like(entry, float(entry.mean())))
    assert not torch.equal(permuted["head.weight"], carried.guide["head.weight"])
    assert len({float(v) for entry in constant.values() for v in entry.flatten()}) == 1
    torch.testing.assert_close(constant["head.bias"][0], tree.flat(carried.guide).mean())
