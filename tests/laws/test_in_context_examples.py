"""The study of zero, one and few examples: what it measures, beside values that are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.types import Batch

SCRIPTS = str(Path(__file__).resolve().parents[2] / "scripts")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(SCRIPTS)
    before = {*sys.modules}
    yield __import__("in_context_examples")
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(SCRIPTS):
            del sys.modules[name]


def test_the_nearest_example_by_hand(script: Any) -> None:
    x, new = torch.tensor([[[0.0, 0.0], [4.0, 0.0]]]), torch.tensor([[[1.0, 1.0], [3.0, 0.0], [9.0, 0.0]]])
    y, classes = torch.tensor([[0, 1, 0]]), torch.tensor([4])
    assert script.nearest(Batch(x, torch.tensor([[0, 1]])), new, y, classes).tolist() == pytest.approx(
        [1 / 3]
    )
    assert script.nearest(Batch(x[:, :0], y[:, :0]), new, y, classes).tolist() == pytest.approx([3 / 4])
    real = torch.tensor([[[1.0], [2.0], [4.0]]])
    told = Batch(x, torch.tensor([[[1.0], [2.0]]]))
    assert script.nearest(told, new, real, classes).tolist() == pytest.approx([4 / 3])
    assert script.nearest(Batch(x[:, :0], real[:, :0]), new, real, classes).tolist() == pytest.approx([7.0])
    said = torch.tensor([[[0.2, 0.8], [0.1, 0.9], [0.6, 0.4]]])
    assert script.error(said, y).tolist() == pytest.approx([1 / 3])


def test_errors_are_of_growing_examples_of_the_same_tasks_and_are_kept(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = script.prepared("linear-functions", 1e-4, str(tmp_path))
    found = script.errors(run, 6)
    assert found.shape == (6, 2, 6)  # 0, 1, 2, 3, 5 and 10 examples, two ways
    drawn = run.data.of.draw("meta_test", run.experiment.evaluation.tasks, 0, 0, 6)
    np.testing.assert_allclose(found[0, 1], drawn.query.y.square().mean((1, 2)), rtol=1e-5)
    assert found[5, 1].mean() < found[1, 1].mean(), "nearer examples are better"
    monkeypatch.setattr(script, "measured", lambda run, tasks: pytest.fail("measured twice"))
    assert np.array_equal(script.errors(run, 6), found)
    text = script.table({"linear-functions": (True, found)}, "about")
    assert f"{found[5, 0].mean():.3g} ±" in text
    script.plot({"linear-functions": (True, found)}, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 5000
