"""The temperature is the minimiser, errors are of the rows that they name, and tables show them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metatl.adapt import ClosedForm, LogisticRegression, NearestCentroid, RidgeRegression, Tempered
from metatl.data import Sinusoid, Tasks
from metatl.engines import Batched, Loop
from metatl.evaluation.calibration import calibration, temperature_of
from metatl.evaluation.evaluate import Evaluation
from metatl.evaluation.scores import SCORES
from metatl.lab import cli
from metatl.models import MLP
from metatl.net import Net
from metatl.types import MetatlError
from tests.toys import toy_data, toy_net

FEW = Evaluation(Tasks(3, 2, 4), episodes=6, select_episodes=5, chunk=4)
CONFIG = """
name: {name}
data: {{class_path: Glyphs}}
model: {{class_path: Conv4, init_args: {{filters: 4}}}}
learner: {{class_path: {learner}, init_args: {{steps: 2}}}}
adaptation: {{class_path: ClosedForm}}
evaluation: {{tasks: {{way: 3, shot: 1, query: 2}}, episodes: 4, select_episodes: 3, calibrated: true}}
"""


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(true: float) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = 3 * true * torch.randn(40_000, 4, generator=generator, dtype=torch.float64)
    y = torch.multinomial((outputs / true).softmax(-1), 1, generator=generator)[:, 0]
    rows = [(outputs[:100], y[:100]), (outputs[100:], y[100:])]
    found = temperature_of(rows)
    assert found == pytest.approx(true, rel=0.03)
    near = [float(F.cross_entropy(outputs / (found * factor), y)) for factor in (0.99, 1.0, 1.01)]
    assert near[1] < min(near[0], near[2])
    assert temperature_of([(5 * outputs, y)]) == pytest.approx(5 * found, rel=1e-4)


def test_labels_that_outputs_do_not_tell_end_at_the_widest() -> None:
    outputs = torch.eye(3, dtype=torch.float64).repeat(10, 1)
    assert 90 < temperature_of([(outputs, (torch.arange(30) + 1) % 3)]) < 100
    assert 0.01 < temperature_of([(outputs, torch.arange(30) % 3)]) < 0.1


def test_what_is_said_is_what_the_outputs_give() -> None:
    torch.manual_seed(0)
    net, data, way = toy_net(dtype=torch.float32), toy_data(), ClosedForm(NearestCentroid(temperature=0.05))
    found = calibration(net, net.start(), way, data, FEW, Batched())
    rows = []
    for number in range(FEW.episodes):
        episode = data.draw("meta_test", FEW.tasks, FEW.seed, number, 1)
        one = Loop().map(lambda some: way.answer(net, net.start(), some), episode)
        rows.append((one[0].double(), episode.query.y[0]))
    outputs, y = (torch.cat(parts) for parts in zip(*rows, strict=True))
    ece = SCORES["calibration error"]
    assert found["log_loss"][0] == pytest.approx(float(F.cross_entropy(outputs, y)), rel=1e-5)
    assert found["ece"][0] == pytest.approx(ece(outputs, y), abs=1e-6)
    assert found["ece_task"][0] == pytest.approx(np.mean([ece(*pair) for pair in rows]), abs=1e-6)
    assert (found["rows"], found["diverged"]) == (6 * 12, 0)
    cooler = Tempered(way, found["temperature"])
    again = calibration(net, net.start(), cooler, data, FEW, Loop())
    assert again["temperature"] == pytest.approx(1.0, abs=1e-3)
    for name in ("log_loss", "ece", "ece_task"):
        assert again[name][0] == pytest.approx(found[name][1], abs=1e-4)


def test_meta_test_has_no_say_in_the_temperature() -> None:
    """Fitted on meta-val alone: other episodes to test, the same temperature."""
    net, data = toy_net(dtype=torch.float32), toy_data()
    way = ClosedForm(LogisticRegression())
    both = [
        calibration(net, net.start(), way, data, replace(FEW, episodes=count), Batched()) for count in (3, 9)
    ]
    assert both[0]["temperature"] == both[1]["temperature"]
    assert both[0]["log_loss"] != both[1]["log_loss"]


def test_tables_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for name, learner in (("one", "Supervised"), ("two", "Episodic")):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(CONFIG.format(name=name, learner=learner))
    words = [str(file) for file in files]
    assert cli.main(["benchmark", *words, "--out", str(tmp_path / "out"), "--runs", str(tmp_path)]) == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "## Calibration" in table
    assert "Calibration" in (tmp_path / "out" / "report.html").read_text()
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    for row in rows:
        said = row["calibration"]
        assert f"| {row['method']} | {said['log_loss'][0]:.3f} | {said['log_loss'][1]:.3f} |" in table
    assert "ECE a task" in capsys.readouterr().out


def test_rows_without_a_class_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, data, waves = Net.of(MLP((1,), 1, (4,))), Sinusoid().load(), Tasks(shot=2, query=3)
    ridge = ClosedForm(RidgeRegression())
    with pytest.raises(MetatlError, match="one class each"):
        calibration(net, net.start(), ridge, data, replace(FEW, tasks=waves), Loop())
    config = tmp_path / "wave.yaml"
    config.write_text(
        "name: wave\ndata: {class_path: Sinusoid}\nmodel: {class_path: MLP}\n"
        "evaluation: {tasks: {shot: 2, query: 2}, episodes: 3, calibrated: true}\n"
    )
    assert cli.main(["run", str(config), "--runs", str(tmp_path)]) == 2
    assert "evaluation.calibrated is of intervals here, and Descent says none" in capsys.readouterr().err
