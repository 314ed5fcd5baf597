"""Episodes of unequal shape: what they are, and that each counts as it does alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from metatl import tree
from metatl.adapt import ClosedForm, Descent, EarlyStopping, LogisticRegression, QueryLoss, RidgeRegression
from metatl.adapt.scores import named
from metatl.data import AsTheyCome, Bank, ClassData, MetaDataset, Sinusoid, Tasks
from metatl.data.counter import number
from metatl.engines import Auto, Batched, Loop
from metatl.engines.by_shape import ByShape
from metatl.engines.engine import Engine, task, tasks_of
from metatl.evaluation.evaluate import Evaluation, evaluate
from metatl.evaluation.predicted import predicted
from metatl.guides import MinMax
from metatl.heads import Head, Learned, Prototypes, Ridge, Zeros
from metatl.lab import config, families
from metatl.lab.describe import merged
from metatl.lab.run.prepare import prepare
from metatl.lab.run.report import report
from metatl.learners import Episodic, Reptile, Scout, Supervised
from metatl.learners.learner import Learner
from metatl.rules import SGD
from metatl.testing import check_learner
from metatl.train import train
from metatl.types import MetatlError, Ragged
from tests.toys import INPUTS, assert_close, toy_data, toy_net

DRAWN = Tasks((2, 5), (1, 4), 3)
UNEQUAL = (2, 5, 9, 14, 30, 80)


def unequal(sizes: tuple[int, ...] = UNEQUAL, seed: int = 0) -> ClassData:
    """Classes of these sizes in every split; the first column tells every row from the others."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), INPUTS, generator=draw)
    x[:, 0] = torch.arange(len(x)) / len(x)
    bank = Bank.sorted_by_class(x, sizes, [f"class {i}" for i in range(len(sizes))])
    return ClassData("unequal", {"meta_train": bank, "meta_val": bank, "meta_test": bank})


SHAPES = {
    "ways": (toy_data(), replace(DRAWN, shot=2)),
    "shots": (toy_data(), replace(DRAWN, way=3)),
    "both": (toy_data(), DRAWN),
    "as they come": (unequal(), Tasks((2, 4), AsTheyCome(6), 5)),
    "meta-dataset": (unequal(), Tasks((3, 50), MetaDataset(60, 20), 10)),
}


def drawn(data: Any, tasks: Tasks, first: int = 0, count: int = 12, seed: int = 3) -> Ragged:
    found = data.draw("meta_train", tasks, seed, first, count)
    assert isinstance(found, Ragged)
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_an_episode_depends_on_its_index_alone(name: str) -> None:
    data, tasks = SHAPES[name]
    whole = drawn(data, tasks)
    assert len(whole.parts) > 1
    assert sorted(place for places in whole.places for place in places) == list(range(12))
    for first, count in ((0, 5), (5, 7), (11, 1)):
        some = drawn(data, tasks, first, count)
        for place in range(count):
            one, other = task(some, place), task(whole, first + place)
            assert all(map(torch.equal, tree.leaves(one), tree.leaves(other)))
    assert data.fingerprint("meta_train", tasks, 3, 9) == data.fingerprint("meta_train", tasks, 3, 9)
    assert data.fingerprint("meta_train", tasks, 3, 9) != data.fingerprint("meta_train", tasks, 4, 9)


@pytest.mark.parametrize("name", SHAPES)
def test_episodes_are_whole(name: str) -> None:
    """Labels 0 .. way - 1 of the named classes, at least one row of each, no row twice, round by round."""
    data, tasks = SHAPES[name]
    bank = data.banks["meta_train"]
    for index in range(12):
        episode = task(drawn(data, tasks), index)
        support, query, classes = episode
        way = len(classes)
        assert support.y.unique().tolist() == list(range(way))
        counts = query.y.bincount(minlength=way)
        assert int(counts.min()) == int(counts.max()) > 0
        rows = torch.cat([support.x, query.x])
        assert len(rows.unique(dim=0)) == len(rows)
        for side in (support, query):
            for x, y in zip(side.x, side.y, strict=True):
                own = int(classes[y])
                held = bank.x[bank.offsets[own] : bank.offsets[own] + bank.sizes[own]]
                assert bool((held == x).all(1).any())
        seen = Counter[int]()
        turns = []
        for label in support.y.tolist():
            turns.append((seen[label], label))
            seen[label] += 1
        assert turns == sorted(turns)
        names = data.class_names("meta_train", tasks, 3, index)
        assert names == tuple(bank.names[c] for c in classes.tolist())


def test_an_episode_is_that_of_tasks_of_its_own_shape() -> None:
    """So ranges draw nothing but shapes anew: rows are those of the fixed stream."""
    data = toy_data()
    for index in range(12):
        episode = task(drawn(data, DRAWN), index)
        way = len(episode.classes)
        shot = len(episode.support.y) // way
        fixed = data.draw("meta_train", Tasks(way, shot, 3), 3, index, 1)
        assert torch.equal(episode.support.x, fixed.support.x[0])
        assert torch.equal(episode.query.y, fixed.query.y[0])
    one = data.draw("meta_train", replace(DRAWN, way=(3, 3), shot=(2, 2)), 3, 0, 5)
    fixed = data.draw("meta_train", Tasks(3, 2, 3), 3, 0, 5)
    assert torch.equal(one.parts[0].support.x, fixed.support.x)


def test_every_way_and_shot_is_as_likely() -> None:
    shapes = [DRAWN.drawn(7, index).one for index in range(6000)]
    for values, of in ((range(2, 6), "way"), (range(1, 5), "shot")):
        counts = Counter(getattr(shape, of) for shape in shapes)
        assert sorted(counts) == list(values)
        assert max(abs(count - 1500) for count in counts.values()) < 5 * math.sqrt(1500)
    pairs = Counter((shape.way, shape.shot) for shape in shapes)
    assert max(abs(count - 375) for count in pairs.values()) < 5 * math.sqrt(375)
    assert {DRAWN.drawn(7, index, 3).ways[0] for index in range(60)} == {2, 3}


@pytest.mark.parametrize("total", [12, 60, 500])
def test_the_rule_of_meta_dataset(total: int) -> None:
    """Against the formula in numpy, and what it promises whatever is drawn."""
    rule, rng = MetaDataset(total, 20), np.random.default_rng(total)
    for key in range(200):
        sizes = rng.integers(2, 90, rng.integers(2, 9))
        query = min(10, int(sizes.min()) // 2)
        left = sizes - query
        words = [number(key, 0), *(number(key, 1, place) for place in range(len(sizes)))]
        beta, *rest = [(word >> 11 & (1 << 53) - 1) / 2**53 for word in words]
        size = min(np.floor(beta * np.minimum(20, left) + 1).sum(), total)
        weights = sizes * np.exp(np.log(0.5) + np.array(rest) * (np.log(2) - np.log(0.5)))
        expected = np.minimum(np.floor(weights / weights.sum() * (size - len(sizes))) + 1, left)
        found = rule.support(sizes.tolist(), query, key)
        assert list(found) == expected.astype(int).tolist()
        assert sum(found) <= max(total, len(sizes))
        assert all(1 <= shot <= rows for shot, rows in zip(found, left, strict=True))
    many = np.array([rule.support([40] * 5, 10, key) for key in range(3000)])
    assert abs(many.mean(0) / many.mean() - 1).max() < 0.1  # no class is preferred by its place


def test_as_they_come() -> None:
    assert AsTheyCome().support([2, 9, 30], 1, 0) == (1, 8, 29)
    assert AsTheyCome(5).support([2, 9, 30], 1, 0) == (1, 5, 5)
    one = task(drawn(unequal((4, 7, 9)), Tasks(3, AsTheyCome(), 2), 0, 1), 0)
    held = dict(zip(one.classes.tolist(), one.support.y.bincount().tolist(), strict=True))
    assert held == {0: 2, 1: 5, 2: 7}


CASES: list[tuple[Head, Engine]] = [
    (Zeros(), Auto()),
    (Ridge(), Auto()),
    (Prototypes(), Auto()),
    (Prototypes(), Batched()),
]


@pytest.mark.parametrize(("head", "engine"), CASES, ids=lambda part: type(part).__name__)
def test_a_gradient_is_the_mean_over_each_task_alone(head: Head, engine: Engine) -> None:
    """In second order, through batch norm; a task's own loss knows its own classes alone."""
    torch.manual_seed(0)
    net = toy_net(norm=True)
    tasks = _double(drawn(toy_data(), replace(DRAWN, way=(2, 3), shot=(1, 2)), count=6))
    loss = QueryLoss(net, Descent(SGD(0.2), 2, head, moments="support"), net.start())
    found, metrics = ByShape(engine).grad(loss, loss.variables, tasks)
    assert tasks_of(tasks) == 6
    assert 1 < len(tasks.parts) < 6
    each = []
    for place in range(6):
        one = task(tasks, place)
        own = replace(loss, net=net.with_outputs(len(one.classes)))
        single = tree.apply(lambda leaf: leaf[None], one._replace(classes=None))
        each.append(Loop().grad(own, loss.variables, single))
    gradients, told = (tree.gather([pair[k] for pair in each], torch.stack) for k in (0, 1))
    assert_close(found, tree.mean(gradients), 1e-8)
    assert_close(metrics, tree.mean(told), 1e-9)
    every = ByShape(engine).grads(loss, loss.variables, tasks)
    assert_close(every.gradients, gradients, 1e-8)


def _double(tasks: Ragged) -> Ragged:
    def wide(leaf: torch.Tensor) -> torch.Tensor:
        return leaf.double() if leaf.is_floating_point() else leaf

    return replace(tasks, parts=tuple(tree.apply(wide, part) for part in tasks.parts))


ADAPTATIONS = {
    "zeros": Descent(SGD(0.5), 3, Zeros(), moments="support"),
    "batches": Descent(SGD(0.5), 3, Zeros(), batch_size=4, moments="support"),
    "prototypes": Descent(SGD(0.1), 0, Prototypes(), moments="support"),
    "ridge": ClosedForm(RidgeRegression()),
    "logistic": ClosedForm(LogisticRegression()),
}


SCORED = {"zeros": None, "batches": None, "prototypes": None, "ridge": "log loss", "logistic": "macro F1"}


@pytest.mark.parametrize(("way", "score"), SCORED.items())
def test_a_score_is_that_of_the_episode_alone(way: str, score: str | None) -> None:
    """In episode order, on every engine and in chunks of any size; intervals are those of any scores."""
    torch.manual_seed(0)
    net, data = toy_net(norm=way == "zeros", dtype=torch.float32), unequal()
    asked = Evaluation(Tasks((2, 4), AsTheyCome(6), 3), episodes=7, chunk=4, score=score)
    found = evaluate(net, net.start(), ADAPTATIONS[way], data, asked, Auto())
    again = evaluate(net, net.start(), ADAPTATIONS[way], data, replace(asked, chunk=7), Loop())
    np.testing.assert_allclose(found.scores, again.scores, atol=1e-5)
    assert found.protocol == again.protocol
    assert (found.protocol["way"], found.protocol["shot"]) == ("2 to 4", "as they come, at most 6")
    rows: list[int] = []
    for index in range(7):
        episode = task(data.draw("meta_test", asked.tasks, 0, index, 1), 0)
        own = net.with_outputs(len(episode.classes))
        output = ADAPTATIONS[way].answer(own, net.start(), episode._replace(classes=None))
        assert output.shape[1] == len(episode.classes)
        alone = named(score or "accuracy")(output, episode.query.y)
        assert found.scores[index] == pytest.approx(alone, abs=1e-5)
        rows.append(len(episode.support.y))
    assert found.ci95 == pytest.approx(2.4469 * found.scores.std(ddof=1) / math.sqrt(7), rel=1e-4)
    least, mean, most = found.facts["shapes"]["support rows"]
    assert (least, mean, most) == (min(rows), pytest.approx(sum(rows) / 7, abs=0.01), max(rows))


def test_single_predictions_lie_in_the_order_of_episodes() -> None:
    net, data = toy_net(dtype=torch.float32), unequal()
    asked = Evaluation(Tasks((2, 4), AsTheyCome(6), 3), episodes=100, chunk=3)
    found = predicted(net, net.start(), ADAPTATIONS["zeros"], data, asked, Batched())
    assert found is not None
    expected = [task(data.draw("meta_test", asked.tasks, 0, i, 1), 0).query.y for i in range(5)]
    assert found.true.tolist() == torch.cat(expected).tolist()


LEARNERS: dict[str, Learner] = {
    "episodic": Episodic(3, 4, DRAWN, Descent(SGD(0.2), 1, Prototypes(), moments="batch")),
    "bad tasks": Episodic(
        3, 4, DRAWN, Descent(SGD(0.2), 1, Zeros(), moments="batch"), skip_bad_tasks=True, multi_step=2
    ),
    "reptile": Reptile(3, 4, DRAWN, Descent(SGD(0.2), 3, Zeros(), batch_size=2, moments="batch")),
    "scout": Scout(2, 4, DRAWN, Descent(SGD(0.2), 3, Zeros(), moments="batch"), shape=MinMax()),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_learn_from_them(name: str) -> None:
    learner, data = LEARNERS[name], toy_data()
    found = []
    for engine in (Loop(), Auto()):
        torch.manual_seed(0)
        net = toy_net(dtype=torch.float32)
        learner.check(net, net.start(), data)
        state = train(learner, net, engine, learner.init(net, net.start()), data, 0)
        found.append(learner.finish(net, state))
    for other in found[1:]:
        for mine, theirs in zip(other.groups(), found[0].groups(), strict=True):
            assert_close(mine, theirs, 1e-3)
    assert any(not torch.equal(leaf, found[0].params[n]) for n, leaf in net.start().params.items()) or (
        name == "scout" and len({float(g.sum()) for g in found[0].guide.values()}) > 1
    )
    assert not learner.capturable(5)


def test_reptile_draws_support_rows_alone() -> None:
    found = Reptile(tasks=DRAWN).draw(toy_data(), 0, 0)
    assert isinstance(found, Ragged)
    (part, *_) = found.parts
    assert part.query.x.shape[1] == 0
    with pytest.raises(MetatlError, match="query is 0: with shots from sizes"):
        Reptile(tasks=Tasks(3, AsTheyCome(), 0)).draw(unequal(), 0, 0)
    assert tasks_of(Reptile(tasks=Tasks(3, AsTheyCome(), 2)).draw(unequal(), 0, 0)) == 5


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        (Tasks((5, 3)), r"way is \[5, 3\]: give a number, or \[least, most\]"),
        (Tasks((1, 3)), "needs at least 2 classes"),
        (Tasks((2, 3), (0, 3)), "at least 1 example"),
        (Tasks((9, 12), 1, 1), "has 6 classes"),
        (Tasks((2, 3), (1, 2), 3), r"shot \+ query is 5, but class 'class 0' .* has 2 .*data.smallest 5"),
        (Tasks((2, 3), subsets="enumerated"), "subsets of one size"),
        (Tasks((2, 30), MetaDataset(20)), "total is 20, but way is up to 30"),
        (Tasks(2, AsTheyCome(), 0), "query is 0"),
    ],
)
def test_tasks_that_cannot_be_drawn_are_a_line(tasks: Tasks, told: str) -> None:
    with pytest.raises(MetatlError, match=told):
        unequal().draw("meta_test", tasks, 0, 0, 1)


def test_shots_from_sizes_need_two_rows() -> None:
    with pytest.raises(MetatlError, match=r"need 2 rows, but class 'class 1' .* has 1 "):
        unequal((4, 1, 5)).check("meta_test", Tasks((2, 3), AsTheyCome(), 2))


def test_one_shape_is_asked_for_where_there_is_no_other() -> None:
    with pytest.raises(MetatlError, match="sinusoid has tasks of one shape"):
        Sinusoid().load().draw("meta_test", Tasks(5, (1, 3)), 0, 0, 1)
    net, data = toy_net(outputs=5, dtype=torch.float32), toy_data()
    learned = Descent(SGD(0.1), 1, Learned())
    with pytest.raises(MetatlError, match="one output layer for all tasks"):
        Episodic(tasks=DRAWN, adaptation=learned).check(net, net.start(), data)
    with pytest.raises(MetatlError, match="one output layer for all tasks"):
        evaluate(net, net.start(), learned, data, Evaluation(DRAWN, 3), Loop())
    drawn_shots = Evaluation(replace(DRAWN, way=5), 3)
    assert len(evaluate(net, net.start(), learned, data, drawn_shots, Loop()).scores) == 3


def test_tasks_of_one_shape_are_described_as_ever() -> None:
    """Hashes of episodes are made of these words."""
    assert repr(Tasks()) == "Tasks(way=5, shot=1, query=15, subsets='random')"
    assert not Tasks().varied
    assert isinstance(Tasks([2, 3], [1, 2]).way, tuple)  # pyright: ignore[reportArgumentType]


def test_a_learner_of_unequal_episodes_keeps_the_laws() -> None:
    net, data = toy_net(dtype=torch.float32), toy_data()
    check_learner(LEARNERS["episodic"], net, net.start(), data)


CONFIG: dict[str, Any] = {
    "name": "drawn",
    "data": "Glyphs",
    "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
    "learner": {"class_path": "Keep"},
    "adaptation": {"class_path": "Descent", "init_args": {"steps": 0, "head": "Prototypes"}},
    "evaluation": {"episodes": 5, "tasks": {"way": [3, 6], "shot": [1, 3], "query": 5}},
}


def test_a_config_says_ranges_and_rules_and_says_them_again() -> None:
    found = config.parse(CONFIG)
    assert found.evaluation.tasks == Tasks((3, 6), (1, 3), 5)
    assert config.describe(config.parse(config.describe(found))) == config.describe(found)
    words = ["--evaluation.tasks.shot", "{class_path: MetaDataset, init_args: {total: 90}}"]
    ruled = config.parse(CONFIG, [*words, "--evaluation.tasks.way=[5, 50]"])
    assert ruled.evaluation.tasks == Tasks((5, 50), MetaDataset(90), 5)
    assert config.parse(config.describe(ruled)).evaluation == ruled.evaluation
    again = config.parse(CONFIG, ["--evaluation.tasks.shot", "2", "--evaluation.tasks.way", "4"])
    assert again.evaluation.tasks == Tasks(4, 2, 5)
    learner = {"class_path": "Supervised", "init_args": {"balance": "over"}}
    stopping = {"stopping": {"watch": "AUROC"}, "balance": "under"}
    other = {**CONFIG, "learner": learner, "adaptation": {"class_path": "Descent", "init_args": stopping}}
    read = config.parse(other)
    assert read.learner == Supervised(balance="over")
    assert read.adaptation == Descent(stopping=EarlyStopping(watch="AUROC"), balance="under")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--evaluation.tasks.shot", "MetaDatset"], "MetaDataset"),
        (["--evaluation.tasks.way", "[6, 3]"], "least, most"),
        (["--evaluation.tasks.way", "[3, 4, 5]"], "way"),
        (["--adaptation.stopping", "{watch: accurcy}"], "nearest: accuracy"),
        (["--adaptation.balance", "all"], "balance"),
    ],
)
def test_what_a_config_cannot_say_is_a_line(words: list[str], told: str) -> None:
    with pytest.raises(MetatlError, match=told) as raised:
        prepare(config.parse(CONFIG, words))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["Tasks", "MetaDataset", "AsTheyCome", "EarlyStopping", "Evaluation"])
def test_what_stands_at_a_key_without_a_name_is_described(name: str) -> None:
    said = families.told(name)
    assert said[0].startswith(f"{name}, a")
    example = (
        yaml.safe_load("\n".join(said[said.index(next(s for s in said if s.endswith(":"))) :]))
        if any(line.endswith(":") for line in said)
        else yaml.safe_load(said[-1])
    )
    assert config.parse(merged(CONFIG, example))


def test_a_run_says_the_shapes_and_the_classes_left_out(tmp_path: Path) -> None:
    y = np.repeat(np.arange(13), [12] * 12 + [3])
    x = np.random.default_rng(0).normal(size=(len(y), 4)).astype(np.float32)
    names = np.array([f"kind {i}" for i in range(13)])
    np.savez(tmp_path / "own.npz", x=x, y=y, names=names)
    data = {"path": str(tmp_path / "own.npz"), "smallest": 8, "fractions": [0.5, 0.0, 0.5]}
    own = {**CONFIG, "data": {"class_path": "Arrays", "init_args": data}, "runs": str(tmp_path / "runs")}
    run = prepare(config.parse(own))
    made = report(run)
    assert made.facts["left_out"] == {"kind 12": 3}
    least, mean, most = made.facts["shapes"]["classes"]
    assert 3 <= least <= mean <= most <= 6
    page = next((tmp_path / "runs").rglob("report.html")).read_text()
    assert "3 to 6-way 1 to 3-shot" in page
    assert "classes of an episode" in page
    assert "kind 12 (3)" in page
