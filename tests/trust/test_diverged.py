"""A diverged adaptation has no accuracy: what is not finite is counted, refused or never chosen."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl import Batch, Episode, MetatlError, Personaliser, load
from metatl.adapt import ClosedForm, Descent, QueryLoss, check_finite, score
from metatl.data import Tasks
from metatl.engines import Batched, Loop
from metatl.engines.engine import Engine
from metatl.evaluation import compare
from metatl.evaluation.evaluate import Evaluation, Report, evaluate
from metatl.heads import Prototypes, Zeros
from metatl.lab import store
from metatl.lab.store.tensors import read_tensors
from metatl.models import MLP
from metatl.net import Net
from metatl.rules import SGD
from metatl.types import Split
from tests.commands import config_of, lines_of, metatl, only, refused, written
from tests.toys import INPUTS, toy_data

EVALUATION = Evaluation(Tasks(3, 2, 4), episodes=12, select_episodes=4, chunk=5)
ENGINES = [Loop(), Batched(), Batched(tasks_per_chunk=2)]


pytestmark = pytest.mark.usefixtures("own_cache")


@dataclass(frozen=True)
class Huge:
    """Toy data; in some episodes the rows of this side are finite and far too large."""

    bad: tuple[int, ...]
    side: str = "support"
    value: float = 1e30
    name: str = "blobs"
    kind: str = "classification"

    def __getattr__(self, name: str) -> Any:
        return getattr(toy_data(), name)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        drawn = toy_data().draw(split, tasks, seed, first, count)
        sides = {"support": drawn.support.x.clone(), "query": drawn.query.x.clone()}
        for index in self.bad:
            if first <= index < first + count:
                sides[self.side][index - first] *= self.value
        return Episode(Batch(sides["support"], drawn.support.y), Batch(sides["query"], drawn.query.y))


def own_net() -> Net:
    """Products of large weights, which overflow."""
    torch.manual_seed(1)
    net = Net.of(MLP((INPUTS,), 3, (8, 8)))
    for leaf in net.module.parameters():
        leaf.data *= 1e5
    return net


def found(data: Any, engine: Engine, rate: float = 1e-12) -> Report:
    net = own_net()
    return evaluate(net, net.start(), Descent(SGD(rate), 2, Zeros()), data, EVALUATION, engine)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_an_output_that_is_no_number_has_no_score(bad: float) -> None:
    output, y = torch.eye(3)[[0, 1, 0]], torch.tensor([0, 1, 2])
    assert score(output, y) == pytest.approx(2 / 3)
    output[2, 1] = bad
    assert score(output, y).isnan()
    assert torch.func.vmap(score)(
        torch.stack([output, torch.eye(3)]), torch.stack([y, y])
    ).isnan().tolist() == [
        True,
        False,
    ]
    assert score({"a": output, "b": torch.eye(3)}, {"a": y, "b": y}).isnan()


@pytest.mark.parametrize("engine", ENGINES, ids=["loop", "batched", "two"])
@pytest.mark.parametrize("side", ["support", "query"])
def test_diverged_episodes_count_as_wrong_and_are_named(engine: Engine, side: str) -> None:
    bad = (1, 4, 5, 11)
    clean, lost = found(toy_data(), engine), found(Huge(bad, side), engine)
    assert clean.diverged == []
    assert lost.diverged == [*bad]
    assert not lost.scores[[*bad]].any()
    kept = np.delete(np.arange(12), bad)
    np.testing.assert_array_equal(lost.scores[kept], clean.scores[kept])
    row = compare.rows([replace(lost, method="lost"), clean], "method")[0]
    assert (row["diverged"], row["accuracy"]) == (4, pytest.approx(100 * lost.scores.mean()))


@pytest.mark.parametrize("engine", ENGINES[:2], ids=["loop", "batched"])
def test_where_all_diverge_there_is_no_mean(engine: Engine) -> None:
    report = found(toy_data(), engine, rate=1e38)
    assert report.diverged == [*range(12)]
    assert np.isnan(report.mean)
    assert report.ci95 is None


@pytest.mark.parametrize("engine", ENGINES[:2], ids=["loop", "batched"])
@pytest.mark.parametrize("side", ["support", "query"])
def test_an_overflow_that_a_norm_swallows_is_one(engine: Engine, side: str) -> None:
    """A variance beyond float32 turns features into zeros, and the accuracy would be exactly chance."""
    torch.manual_seed(1)
    net = Net.of(MLP((INPUTS,), 3, (8,), norm=True))
    adaptation = Descent(steps=0, head=Prototypes(), moments="batch")
    reports = [
        evaluate(net, net.start(), adaptation, data, EVALUATION, engine)
        for data in (toy_data(), Huge((2, 7), side, 1e25))
    ]
    assert [report.diverged for report in reports] == [[], [2, 7]]


def test_the_nearest_mean_of_huge_features_is_the_nearest() -> None:
    """What scales with its inputs has nothing to overflow."""
    way = ClosedForm()
    z, y = torch.randn(6, 4), torch.arange(6) % 3
    near = [way.solver.predict(way.solver.fit(a * z, y, 3), a * z).argmax(1) for a in (1.0, 1e30)]
    assert torch.equal(*near)


def test_squared_errors_are_no_numbers() -> None:
    """A finite output may still have an error beyond float32."""

    class Waves(Huge):
        def draw(self, *given: Any) -> Episode:
            drawn = super().draw(*given)
            y = [side.x.sum(-1, keepdim=True) for side in drawn[:2]]
            return Episode(Batch(drawn.support.x, y[0]), Batch(drawn.query.x, y[1]))

        def outputs(self, tasks: Tasks) -> int:
            return 1

    net = Net.of(MLP((INPUTS,), 1, (8,), "tanh"))
    data = Waves((3,), "query", kind="regression")
    report = evaluate(net, net.start(), Descent(SGD(1e-3), 1), data, EVALUATION, Batched())
    assert report.diverged == [3]
    assert np.isnan(report.scores[3])
    assert np.isfinite(np.delete(report.scores, 3)).all()
    assert np.isnan(report.mean)


ROUTES = [Batched(), Batched(record=True), pytest.param(Batched(compile=True), marks=pytest.mark.slow)]


@pytest.mark.parametrize("engine", ROUTES, ids=["vmap", "recorded", "compiled"])
def test_the_score_of_a_meta_batch_says_so_on_every_route(engine: Batched) -> None:
    net = own_net()
    loss = QueryLoss(net, Descent(SGD(1e-12), 1, Zeros()), net.start())
    tasks = Huge((1,)).draw("meta_train", EVALUATION.tasks, 0, 0, 3)
    good = toy_data().draw("meta_train", EVALUATION.tasks, 0, 0, 3)
    for _ in range(3):
        assert bool(engine.grad(loss, loss.variables, good)[1]["query_score"].isfinite())
        assert bool(engine.grad(loss, loss.variables, tasks)[1]["query_score"].isnan())


def test_a_transfer_of_nan_is_refused_by_name() -> None:
    net = own_net()
    start = net.start()
    for group, value in [("params", float("nan")), ("guide", float("inf")), ("params", float("inf"))]:
        name = "head.weight"
        broken = replace(start, **{group: {**getattr(start, group), name: torch.full((3, 8), value)}})
        with pytest.raises(MetatlError, match=f"'{name}' is not finite"):
            evaluate(net, broken, Descent(head=Zeros()), toy_data(), EVALUATION, Loop())
    check_finite(replace(start, buffers={"mask": torch.tensor([0.0, -float("inf")])}))


def test_a_run_of_nan_is_neither_evaluated_nor_loaded(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert metatl("run", diverging(tmp_path), "--adaptation.rule.lr", "0.1", "--runs", runs).code == 0
    place = only(runs) / "transfer.safetensors"
    learned = store.load_transfer(place)
    name = next(name for name in learned.params if name.endswith("weight"))
    lost = replace(learned, params={**learned.params, name: learned.params[name] * torch.nan})
    _, meta = read_tensors(place, "transfer")
    store.save_transfer(place, lost, {key: meta[key] for key in meta if key == "digest"})
    assert f"weight '{name}' is not finite" in refused("evaluate", only(runs), "--evaluation.episodes", "5")
    with pytest.raises(MetatlError, match=f"transfer.safetensors: weight '{name}' is not finite"):
        load(only(runs))


def test_a_personal_model_says_no_first_label() -> None:
    net = own_net()
    x, y = torch.randn(6, INPUTS), ["a", "b", "c"] * 2
    person = Personaliser(net, net.start(), Descent(SGD(1e-12), 2, Zeros()))
    made = person.adapt(x, y)
    assert len(made.predict(x)) == 6
    far = x.clone()
    far[4] *= 1e30
    for ask in (made.predict, made.probabilities, made.outputs):
        with pytest.raises(MetatlError, match=r"not finite for 1 of 6 examples \(first: example 4\)"):
            ask(far)
    with pytest.raises(MetatlError, match=r"adapted to these examples: weight .* is not finite"):
        replace(person, adaptation=Descent(SGD(1e38), 3, Zeros())).adapt(x, y)
    broken = {name: leaf * torch.nan for name, leaf in net.start().params.items()}
    with pytest.raises(MetatlError, match="not finite"):
        replace(person, transfer=replace(net.start(), params=broken)).adapt(x, y).predict(x)


def diverging(tmp_path: Path, **changed: Any) -> str:
    """Pre-training, and a rate at which some episodes diverge and others do not."""
    values = copy.deepcopy(config_of("supervised")) | {"name": "ft"}
    values["model"]["init_args"]["filters"] = 4
    values["evaluation"] |= {"episodes": 20, "select_episodes": 8}
    rule = {"class_path": "SGD", "init_args": {"lr": 1e38}}
    values["adaptation"] = {"steps": 3, "head": {"class_path": "Zeros"}, "rule": rule}
    return written(tmp_path, values | changed, f"{changed.get('name', 'ft')}.yaml")


def test_report_line_and_table_say_how_many(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    said = metatl("run", diverging(tmp_path), "--runs", runs)
    told = store.load_report(only(runs))
    assert 0 < len(told.diverged) < 20
    assert not told.scores[told.diverged].any()
    assert f"20 episodes of which {len(told.diverged)} diverged and count as wrong" in said.out
    again = metatl("run", diverging(tmp_path), "--runs", runs)
    assert f"{len(told.diverged)} diverged" in again.out
    low = ["--adaptation.rule.lr", "0.1", "--name", "low", "--runs", runs]
    assert metatl("run", diverging(tmp_path), *low).code == 0
    table = metatl("compare", only(runs / "low"), only(runs / "ft"))
    assert f"({len(told.diverged)} diverged)" in table.out
    out = metatl("benchmark", diverging(tmp_path), "--runs", runs, "--out", tmp_path / "out")
    assert out.code == 0
    assert f"({len(told.diverged)} diverged)" in (tmp_path / "out" / "table.md").read_text()
    assert store.read_json(tmp_path / "out" / "report.json")["rows"][0]["diverged"] == len(told.diverged)


def test_select_never_chooses_what_diverges(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    path = diverging(tmp_path, select={"rule.lr": [1e38, 1e-30]})
    assert metatl("run", path, "--runs", runs).code == 0
    facts = store.load_report(only(runs)).facts
    assert facts["selected"] == {"rule.lr": 1e-30}
    assert facts["selection"][0]["meta_val"] is None
    assert facts["selection"][0]["diverged"] > 0
    assert facts["diverged"] == []
    line = refused("run", path, "--runs", runs, "--select", "{rule.lr: [1e37, 1e38]}")
    assert "of meta_val or more at every value of `select`; add lower ones" in line


def test_validation_that_diverges_is_warned_of(tmp_path: Path) -> None:
    said = metatl("run", diverging(tmp_path), "--runs", tmp_path / "runs", "--validate_every", "3")
    lost = [
        row["meta_val/diverged"] for row in lines_of(only(tmp_path / "runs")) if "meta_val/diverged" in row
    ]
    assert len(lost) == 2
    assert f"warning, step 3: {int(lost[0])} of 8 meta_val episodes diverge" in "\n".join(said.lines)
