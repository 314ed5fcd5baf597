"""Intervals of real values in runs and benchmarks: what is said of them, the scale, who says none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metatl.adapt import BayesianLinear, ClosedForm, Laplace, RidgeRegression
from metatl.data import LinearFunctions, Tasks
from metatl.engines import Batched, Loop
from metatl.evaluation.evaluate import Evaluation
from metatl.evaluation.intervals import check_sure, intervals, scale_of
from metatl.evaluation.scores import SCORES
from metatl.lab import cli
from metatl.net import Net
from metatl.types import MetatlError

ASKED = Evaluation(Tasks(shot=8, query=20), episodes=60, select_episodes=40, chunk=25)
CONFIG = """
name: {name}
data: {{class_path: LinearFunctions, init_args: {{dimensions: 2, noise: 0.5}}}}
model: {{class_path: MLP, init_args: {{hidden: [4]}}}}
adaptation: {{class_path: ClosedForm, init_args: {{solver: {{class_path: metatl.adapt.solvers.{solver}}}}}}}
evaluation: {{tasks: {{shot: 9, query: 5}}, episodes: 6, select_episodes: 3, calibrated: true}}
"""


def linear() -> Net:
    """The features are the two inputs themselves."""
    return Net.of(torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(2, 1)))


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_scale_that_targets_were_drawn_at_is_found(factor: float) -> None:
    made = torch.Generator().manual_seed(0)
    mean, variance, e = (torch.randn(40_000, 1, generator=made, dtype=torch.float64) for _ in range(3))
    variance = variance.square() + 0.1
    rows = [(mean, variance, mean + (factor * variance).sqrt() * e)]
    found = scale_of(rows)
    assert found == pytest.approx(factor, rel=0.03)
    nll = [
        float(torch.distributions.Normal(mean, (s * variance).sqrt()).log_prob(rows[0][2]).mean())
        for s in (0.99 * found, found, 1.01 * found)
    ]
    assert nll[1] > max(nll[0], nll[2])


def test_what_is_said_is_what_the_predictive_gives_and_meta_test_has_no_say_in_the_scale() -> None:
    net, data = linear(), LinearFunctions(2, noise=0.5).load()
    way = ClosedForm(BayesianLinear(noise=0.25))
    found = intervals(net, net.start(), way, data, ASKED, Batched())
    told = []
    for number in range(ASKED.episodes):
        episode = data.draw("meta_test", ASKED.tasks, ASKED.seed, number, 1)
        said = Loop().map(lambda one: tuple(way.predictive(net, net.start(), one))[:2], episode)
        told.append((said[0][0], said[1][0], episode.query.y[0].double()))
    mean, variance, y = (torch.cat(parts) for parts in zip(*told, strict=True))
    normal = torch.distributions.Normal(mean.double(), variance.double().sqrt())
    assert found["nll"][0] == pytest.approx(-float(normal.log_prob(y).mean()), rel=1e-4)
    inside = ((y - mean).abs() <= 1.959964 * variance.sqrt()).double().mean()
    assert found["coverage"][0] == pytest.approx(float(inside), abs=1e-3)
    assert (found["rows"], found["diverged"]) == (60 * 20, 0)
    fewer = intervals(net, net.start(), way, data, replace(ASKED, episodes=9), Loop())
    assert fewer["scale"] == pytest.approx(found["scale"], rel=1e-5)
    assert fewer["nll"] != found["nll"]


def test_scaled_variances_cover_where_a_wrong_noise_does_not() -> None:
    """A noise a hundredth of the true one: too narrow; behind the scale of meta-val near 95 % again."""
    net, data = linear(), LinearFunctions(2, noise=0.5).load()
    found = intervals(net, net.start(), ClosedForm(BayesianLinear(noise=0.0025)), data, ASKED, Batched())
    assert found["coverage"][0] < 0.5
    assert 0.9 < found["coverage"][1] < 0.98
    assert found["scale"] > 50
    assert found["nll"][1] < found["nll"][0]


def test_tables_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for name, solver in (("one", "BayesianLinear"), ("two", "GaussianProcess")):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(CONFIG.format(name=name, solver=solver))
    words = [str(file) for file in files]
    assert cli.main(["benchmark", *words, "--out", str(tmp_path / "out"), "--runs", str(tmp_path)]) == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "## Intervals" in table
    assert "Interval score" in (tmp_path / "out" / "report.html").read_text()
    for row in json.loads((tmp_path / "out" / "report.json").read_text())["rows"]:
        said = row["intervals"]
        assert f"| {row['method']} | {said['nll'][0]:.4g} | {said['nll'][1]:.4g} |" in table
        assert np.isfinite([*said["nll"], *said["interval_score"], said["scale"]]).all()
    assert "coverage, %" in capsys.readouterr().out
    assert set(SCORES) >= {"NLL", "coverage", "interval score"}


def test_who_says_none_is_told_so() -> None:
    data = LinearFunctions(2).load()
    check_sure(Laplace(), data)
    with pytest.raises(MetatlError, match="ClosedForm says none; put Laplace around it"):
        check_sure(ClosedForm(RidgeRegression()), data)
