"""What is learned on source photos: shared by the rows that ask for it, cut by the clock, resumed exactly."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl import Classifier, MetatlError, tree
from metatl.data.photos import photo_examples
from metatl.lab.experiment import with_value
from metatl.learners import Scout
from metatl.transferring import learned as learning_once
from metatl.transferring import learning
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.budget import Budget
from metatl.transferring.fit import Labelled, fit, started
from metatl.transferring.learned import LearnedStart, learn, told
from metatl.transferring.learning import Learning
from metatl.transferring.open_model import open_model
from metatl.transferring.problem import Problem, read_problem
from metatl.transferring.rows import Row, rows
from metatl.transferring.schedule import BodySchedule
from metatl.transferring.source import SourceRows, source_rows, source_tasks
from tests.photos import COLOURS, OTHERS, drawn, photo_model

SIZE = 20
GTL = ("gtl", "gtl-permuted", "gtl-layer-mean", "gtl-constant")
LEARNING = (*GTL, "maml", "prototypes")


pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


@pytest.fixture(scope="module")
def net() -> Backbone:
    return backbone("Conv4", SIZE)


@pytest.fixture(scope="module")
def problem(net: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return read_problem(photo_examples(drawn(tmp_path_factory.mktemp("p") / "p", size=SIZE)), net, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = {"train": 5, "val": 3}
    return drawn(tmp_path_factory.mktemp("s") / "s", parts, classes=3, size=SIZE, colours=OTHERS)


def _source(folder: Path, problem: Problem) -> SourceRows:
    return source_rows(photo_examples(folder), problem)


def few(names: tuple[str, ...] = LEARNING, steps: int = 3) -> dict[str, Row]:
    """These rows with short schedules."""
    short = BodySchedule(passes=2, most=12, least=1, batch=4)
    return {
        name: replace(row, learner=with_value(row.learner, "steps", steps), schedule=short)
        for name, row in rows(names).items()
    }


def work(net: Backbone, problem: Problem, folder: Path, out: Path, seconds: float = 1e4) -> Learning:
    return Learning(net, _source(folder, problem), out, Budget(seconds), 0)


@pytest.fixture(scope="module")
def done(
    net: Backbone, problem: Problem, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Mapping[str, LearnedStart], Path]:
    out = tmp_path_factory.mktemp("o")
    return learn(few(), problem, work(net, problem, folder, out)), out


def test_each_learner_learns_once(done: tuple[Mapping[str, LearnedStart], Path]) -> None:
    found, out = done
    assert set(found) == set(LEARNING)
    assert len({id(found[name]) for name in GTL}) == 1
    assert len({id(one) for one in found.values()}) == 3
    assert len(list(out.glob("*.safetensors"))) == 3
    assert len({str(rows([name])[name].learner) for name in GTL}) == 1


def test_scouts_leave_the_weights_and_give_a_guide(net: Backbone, done: Any) -> None:
    gtl, maml = done[0]["gtl"].net, done[0]["maml"].net
    for name, leaf in net.module.state_dict().items():
        assert torch.equal(gtl.module.state_dict()[name], leaf)
    assert gtl.key == net.key != maml.key
    entries = tree.flat({n: g for n, g in gtl.guide.items() if not n.startswith(net.head)})
    assert float(entries.min()) == 0
    assert float(entries.max()) == 1
    assert 0.01 < float(entries.mean()) < 0.99
    assert any(
        not torch.equal(a, b) for a, b in zip(*(m.module.parameters() for m in (net, maml)), strict=True)
    )


def test_a_control_changes_the_guide_and_nothing_else(done: Any) -> None:
    found, its = rows(GTL), done[0]["gtl"].net
    _, gtl = started(found["gtl"], its, its.module, 2)
    assert all(torch.equal(gtl.guide[name], entry) for name, entry in its.guide.items())
    for name in GTL[1:]:
        plain = replace(found[name], about="", formula="", order=0, guide=None)
        assert plain == replace(found["gtl"], about="", formula="", order=0)
        _, control = started(found[name], its, its.module, 2)
        assert all(torch.equal(control.params[n], leaf) for n, leaf in gtl.params.items())
        body, head = tree.split(control.guide, lambda n: not n.startswith(its.head))
        assert all(torch.equal(entry, gtl.guide[n]) for n, entry in head.items())
        assert any(not torch.equal(entry, gtl.guide[n]) for n, entry in body.items())
        if name == "gtl-permuted":
            both = [
                (entry.flatten().sort().values, gtl.guide[n].flatten().sort().values)
                for n, entry in body.items()
            ]
            assert all(torch.equal(*pair) for pair in both)
        if name == "gtl-layer-mean":
            assert all(torch.allclose(entry, gtl.guide[n].mean()) for n, entry in body.items())
        if name == "gtl-constant":
            mean = tree.flat({n: gtl.guide[n] for n in body}).mean()
            assert all(torch.allclose(entry, mean) for entry in body.values())


@pytest.mark.parametrize("name", ["gtl", "maml", "prototypes"])
def test_a_saved_model_keeps_what_was_learned(problem: Problem, done: Any, tmp_path: Path, name: str) -> None:
    its: LearnedStart = done[0][name]
    at = torch.from_numpy(problem.task.everything())
    x, y = problem.prepared.some(at.numpy()), problem.targets.values[at]
    model = fit(
        few((name,))[name], its.net, Labelled(its.features.of(at.numpy(), at.numpy()), y, lambda: x, 2)
    )
    made = photo_model(its.net, model, problem.targets.names, {})
    made.save(tmp_path)
    with torch.no_grad():
        expected = model.outputs(its.features.of(at.numpy(), at.numpy()), lambda: x)
        assert torch.allclose(made.module(x), expected, atol=1e-4)
        assert torch.equal(open_model(tmp_path).module(x), made.module(x))


def test_the_test_part_of_the_source_is_never_read(
    net: Backbone, problem: Problem, folder: Path, done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files may hold nothing at all: the same bytes are learned. Nor are the problem's photos read."""
    poisoned = shutil.copytree(folder, tmp_path / "s")
    for file in (poisoned / "val").rglob("*.png"):
        file.write_bytes(b"no picture")
    monkeypatch.setattr(problem.prepared, "one", None)
    found = few(("gtl",))
    learning = work(net, problem, poisoned, tmp_path / "o")
    monkeypatch.setattr(learning_once, "_features", lambda *given: problem.features)
    learn(found, problem, learning)
    (file,) = (tmp_path / "o").glob("*.safetensors")
    assert file.read_bytes() == (done[1] / file.name).read_bytes()
    files = set(learning.source.inputs.ids)
    assert len(files) == 15
    assert all("/train/" in file for file in files)


@pytest.mark.parametrize("name", ["gtl", "maml", "prototypes"])
def test_what_was_interrupted_is_what_was_not(
    net: Backbone, problem: Problem, folder: Path, done: Any, tmp_path: Path, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    found, count = few((name,)), [0]
    learner = type(found[name].learner)
    real = learner.draw

    def draw(self: Any, *given: Any) -> Any:
        count[0] += 1
        if count[0] == 4:  # the first asks what a pass is, say
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(learner, "draw", draw)
    found = few((name,), steps=3)
    count[0] = 1
    with pytest.raises(KeyboardInterrupt):
        learn(found, problem, work(net, problem, folder, tmp_path))
    assert len(list(tmp_path.glob("*.ckpt"))) == 1
    assert not list(tmp_path.glob("*.safetensors"))
    learn(found, problem, work(net, problem, folder, tmp_path))
    assert count[0] == 5
    (file,) = tmp_path.glob("*.safetensors")
    assert file.read_bytes() == (done[1] / file.name).read_bytes()
    monkeypatch.setattr(learning, "train", None)
    learn(found, problem, work(net, problem, folder, tmp_path))  # from its file


def test_little_time_does_part_of_the_schedule_and_says_so(
    net: Backbone, problem: Problem, folder: Path, tmp_path: Path
) -> None:
    its = work(net, problem, folder, tmp_path, seconds=1e-6)
    found = learn(few(("gtl", "prototypes"), steps=50), problem, its)
    values, notes = told(found, its.source, False)
    assert [one["done"] for one in values["learned"]] == [1, 1]
    assert notes[0] == "Source: s, 3 classes, 15 photos."
    assert "gtl: 1 of 50 steps on the source" in notes[2]
    assert "their share of the minutes allowed no more" in notes[2]


def test_tasks_are_as_large_as_the_source_allows(
    net: Backbone, problem: Problem, folder: Path, done: Any
) -> None:
    source = _source(folder, problem)
    learner, said = learning.fitting(Scout(), source_tasks(source, net))
    assert isinstance(learner, Scout)
    assert (learner.tasks.way, learner.tasks.shot, learner.tasks.query) == (3, 5, 0)
    assert "tasks of 3 classes with 5 + 0 photos each instead of 4 with 10 + 0" in said
    assert any("the source has 3 classes" in note for note in told(done[0], source, False)[1])


def test_a_source_that_tells_labels_is_refused(problem: Problem, folder: Path, tmp_path: Path) -> None:
    for at in (problem.task.test[0] if problem.task.test is not None else 0, problem.task.pool[0]):
        leaky = shutil.copytree(folder, tmp_path / str(at))
        shutil.copy(problem.inputs.ids[int(at)], leaky / "train/pink/again.png")
        with pytest.raises(MetatlError, match=r"again\.png is the same photo as .*take them out"):
            _source(leaky, problem)


def test_a_source_that_cannot_serve_is_one_line(
    net: Backbone, problem: Problem, folder: Path, tmp_path: Path
) -> None:
    one = drawn(tmp_path / "one", {"": 3}, classes=1, size=SIZE, colours=OTHERS)
    with pytest.raises(MetatlError, match="one class only, 'cyan'"):
        _source(one, problem)
    spoiled = shutil.copytree(folder, tmp_path / "s")
    for file in list((spoiled / "train/pink").iterdir())[1:]:
        file.write_bytes(b"no picture")
    with pytest.raises(MetatlError, match="1 photos of class 'pink' can be read"):
        source_tasks(_source(spoiled, problem), net)
    with pytest.raises(MetatlError, match=r"'gtl' learns on a source first; use metatl\.transfer"):
        Classifier("Conv4", "gtl").fit([], [])


def test_classes_of_the_same_name_are_said(
    net: Backbone, problem: Problem, tmp_path: Path, done: Any
) -> None:
    place = drawn(tmp_path / "s", {"": 4}, size=SIZE + 2, colours=COLOURS)
    assert "problem's: blue, green" in told(done[0], _source(place, problem), True)[1][-1]
    assert "--methods usual,domains" in told(done[0], _source(place, problem), False)[1][-1]
