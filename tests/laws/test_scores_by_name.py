"""A score by name: in evaluations, tables and choices of values, with its unit and its better end."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl.adapt import Descent, InContext
from metatl.data import Tasks
from metatl.engines import Batched, Loop
from metatl.engines.engine import task
from metatl.evaluation import compare
from metatl.evaluation.evaluate import Evaluation, Report, evaluate
from metatl.evaluation.scores import SCORES
from metatl.heads import Zeros
from metatl.lab import render
from metatl.lab.benchmark import outcome
from metatl.net import Net
from metatl.rules import SGD
from metatl.types import MetatlError
from tests.commands import WAVES, config_of, metatl, only, refused, written
from tests.toys import toy_data, toy_net

EVALUATION = Evaluation(Tasks(3, 2, 4), 9, chunk=4)
ADAPTATION = Descent(SGD(0.1), 3, Zeros())
OF_CLASSES = [name for name, score in SCORES.items() if "classes" in score.takes]


def found(score: str | None, engine: Any = None) -> Report:
    torch.manual_seed(3)
    net = toy_net(dtype=torch.float32)
    evaluation = replace(EVALUATION, score=score)
    return evaluate(net, net.start(), ADAPTATION, toy_data(), evaluation, engine or Batched())


@pytest.mark.parametrize("name", OF_CLASSES)
def test_an_evaluation_takes_the_score_of_every_episode(name: str) -> None:
    net, data = toy_net(dtype=torch.float32), toy_data()
    report = evaluate(net, net.start(), ADAPTATION, data, replace(EVALUATION, score=name), Batched())
    assert (report.protocol["score"], report.score) == (name, SCORES[name])
    drawn = data.draw("meta_test", EVALUATION.tasks, 0, 0, 9)
    for place in range(9):
        episode = task(drawn, place)
        output = ADAPTATION.answer(net.with_outputs(3), net.start(), episode)
        right = SCORES[name](output, episode.query.y)
        assert report.scores[place] == pytest.approx(right, abs=1e-5)


def test_accuracy_by_name_is_the_default_bit_by_bit() -> None:
    for engine in (Batched(), Loop()):
        assert found("accuracy", engine).scores.tobytes() == found(None, engine).scores.tobytes()


class Odd(torch.nn.Module):
    """Outputs that are not finite where the first support row says so."""

    def forward(self, support_x: Tensor, support_y: Tensor, x: Tensor) -> Tensor:
        wrong = torch.where(support_x[0, 0] > 1.0, torch.nan, 0.0)
        return x[:, :3] + wrong


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_diverged_episode_counts_as_the_worst_that_a_score_can_be(name: str) -> None:
    net = Net.of(Odd())
    report = evaluate(net, net.start(), InContext(), toy_data(), replace(EVALUATION, score=name), Batched())
    assert 0 < len(report.diverged) < 9
    lost = report.scores[report.diverged]
    worst = SCORES[name].worst
    assert np.isnan(lost).all() if worst is None else (lost == worst).all()
    assert math.isnan(report.mean) == (worst is None)


def test_a_score_without_a_value_is_named() -> None:
    class OneClass(type(toy_data())):  # type: ignore[misc]
        def draw(self, *given: Any) -> Any:
            drawn = super().draw(*given)
            return drawn._replace(query=drawn.query._replace(y=torch.zeros_like(drawn.query.y)))

    data, net = toy_data(), toy_net(dtype=torch.float32)
    data = OneClass(data.name, data.banks)
    with pytest.raises(MetatlError, match="AUROC has no value for the query rows of episode 0"):
        evaluate(net, net.start(), ADAPTATION, data, replace(EVALUATION, score="AUROC"), Batched())


def test_a_score_of_other_targets_is_refused_before_any_work() -> None:
    with pytest.raises(MetatlError, match="R2 is no score of class labels; there are: accuracy, balanced"):
        found("R2")
    with pytest.raises(MetatlError, match="nearest: macro F1"):
        Evaluation(score="makro F1")


def reports(score: str, good: float, bad: float) -> list[Report]:
    noise = np.random.default_rng(0).normal(0, 0.01, (2, 20))
    protocol = {"data": "toy", "split": "meta_test", "score": score, "episodes": 20}
    means = {"good": good, "bad": bad}
    return [Report(name, means[name] + noise[i], protocol) for i, name in enumerate(means)]


@pytest.mark.parametrize(
    ("score", "good", "bad", "heading", "said"),
    [
        ("balanced accuracy", 0.8, 0.6, "balanced accuracy, %", "For balanced accuracy, more is better"),
        ("AUROC", 0.8, 0.6, "AUROC", "For AUROC, more is better"),
        ("calibration error", 0.1, 0.3, "calibration error", "For calibration error, less is better"),
        ("MAE", 3.0, 9.0, "MAE", "For MAE, less is better"),
        ("R2", 0.5, -2.0, "R2", "For R2, more is better"),
    ],
)
def test_tables_say_the_unit_and_which_way_is_better(
    score: str, good: float, bad: float, heading: str, said: str, tmp_path: Path
) -> None:
    made = outcome(reports(score, good, bad)[::-1], tmp_path, "bad", "bad")
    assert [row["method"] for row in made.rows] == ["good", "bad"]
    assert made.rows[0][score] == pytest.approx(good * SCORES[score].factor, rel=0.05)
    assert made.rows[0]["harmed"] == 0.0
    worst = made.rows[0]["worst_decile"] - made.rows[0][score]
    assert worst * SCORES[score].sign < 0
    table = (tmp_path / "table.md").read_text()
    assert f" {heading} |" in table
    assert said in table
    assert "| **good**" in table
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert "*" in render.console(made.rows, made.protocol)


def test_rows_of_unlike_scores_are_not_compared() -> None:
    one, other = reports("MAE", 1.0, 2.0)[0], reports("MSE", 1.0, 2.0)[1]
    with pytest.raises(MetatlError, match="score is MSE for bad and MAE for good"):
        compare.rows([one, other], "good")


@pytest.mark.usefixtures("own_cache")
def test_a_run_chooses_and_reports_by_its_score(tmp_path: Path) -> None:
    grid = {"rule.lr": [0.0, 0.05]}
    values = {**WAVES, "name": "waves", "select": grid, "learner": {"class_path": "Keep"}}
    chosen: dict[str, Any] = {}
    for score in ("R2", "MAE"):
        path = written(
            tmp_path, {**values, "evaluation": {**WAVES["evaluation"], "score": score}}, f"{score}.yaml"
        )
        said = metatl("run", path, "--runs", tmp_path / score)
        assert said.code == 0, said.lines
        assert f"waves: {score} " in said.out + " ".join(said.lines)
        told = json.loads((only(tmp_path / score) / "report.json").read_text())
        assert told["protocol"]["score"] == score
        tried = {one["values"]["rule.lr"]: one["meta_val"] for one in told["facts"]["selection"]}
        best = (max if score == "R2" else min)(tried, key=tried.__getitem__)
        chosen[score] = told["facts"]["selected"]["rule.lr"]
        assert chosen[score] == best
    said = refused("run", written(tmp_path, {**values, "evaluation": {"score": "AUROC"}}))
    assert "AUROC is no score of real values; there are: MSE, MAE, NLL," in said
    assert "nearest: R2" in refused("run", written(tmp_path, {**values, "evaluation": {"score": "R^2"}}))


LOSS = """
def steep(output, y):
    return (output - y).abs().mean(1)
"""


@pytest.mark.usefixtures("own_cache")
def test_a_run_is_named_by_the_source_of_a_loss_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_losses.py").write_text(LOSS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_losses", raising=False)
    values = config_of("maml", 2)
    own = {"class_path": "Own", "init_args": {"loss": "my_losses.steep"}}
    values["learner"]["init_args"]["objective"] = own
    values["adaptation"]["terms"] = [{"class_path": "Huber", "init_args": {"delta": 0.5}}]
    path = written(tmp_path, values)
    assert metatl("run", path, "--runs", tmp_path / "runs").code == 0
    run = only(tmp_path / "runs")
    assert "my_losses" in json.loads((run / "learned.json").read_text())["inputs"]["sources"]
    values["learner"]["init_args"]["objective"] = {"class_path": "Own", "init_args": {"loss": "os.system"}}
    assert "not imported" in refused("run", written(tmp_path, values))
