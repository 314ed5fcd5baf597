"""Clusters in the place of classes: what they are made of, and what stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import Arrays, Clustered, Tasks
from metatl.errors import MetatlError
from metatl.lab import cli

PAIRS = Tasks(2, 3, 2)


def made(folder: Path, poison: bool = False) -> Arrays:
    """Nine classes that are three heaps of rows each of which has three classes."""
    draws = np.random.default_rng(0)
    heap = np.repeat(np.arange(3), 60)
    x = (10.0 * np.eye(3, 8)[heap] + draws.normal(size=(180, 8))).astype("f4")
    y = heap + 3 * (np.arange(180) % 3)
    order = np.argsort(x[:, 5]) if poison else np.arange(180)
    name = folder / f"{poison}.npz"
    np.savez(name, x=x[order], y=y[order])
    return Arrays(str(name), train=("0", "1", "2"), val=("3", "4", "5"), test=("6", "7", "8"))


def loaded(source: Arrays, clusters: int = 3) -> Any:
    return Clustered(source, dims=2, clusters=clusters).load()


def test_heaps_are_found_and_the_other_splits_stay(tmp_path: Path) -> None:
    source = made(tmp_path)
    data = loaded(source)
    assert sorted(data.facts["clusters"]) == [20, 20, 20]
    for index in range(5):
        task = data.draw("meta_train", PAIRS, 0, index, 1)
        heaps = task.support.x[0].argmax(-1)
        assert len({(int(y), int(heap)) for y, heap in zip(task.support.y[0], heaps, strict=True)}) == 2
    plain: Any = source.load()
    for split in ("meta_val", "meta_test"):
        ours, own = (one.draw(split, PAIRS, 3, 0, 2) for one in (data, plain))
        assert torch.equal(ours.query.x, own.query.x)
        assert data.fingerprint(split, PAIRS, 0, 2) == plain.fingerprint(split, PAIRS, 0, 2)


def test_labels_and_the_order_of_rows_change_nothing(tmp_path: Path) -> None:
    one, other = loaded(made(tmp_path)), loaded(made(tmp_path, poison=True))
    ours, theirs = (data.draw("meta_train", PAIRS, 1, 0, 4) for data in (one, other))
    assert torch.equal(ours.support.x, theirs.support.x)
    assert one.describe()["clustered"] == other.describe()["clustered"]


def test_a_config_names_it(tmp_path: Path) -> None:
    source = made(tmp_path)
    (tmp_path / "config.yaml").write_text(f"""
name: clusters
data:
  class_path: Clustered
  init_args: {{clusters: 3, dims: 2, of: {{class_path: Arrays, init_args: {{path: {source.path},
    train: ["0", "1", "2"], val: ["3", "4", "5"], test: ["6", "7", "8"]}}}}}}
model: {{class_path: MLP, init_args: {{hidden: [8]}}}}
learner: {{class_path: Scout, init_args: {{steps: 2, scouts: 3, tasks: {{way: 2, shot: 4, query: 0}}}}}}
adaptation: {{steps: 2, head: {{class_path: Zeros}}}}
evaluation: {{tasks: {{way: 3, shot: 2, query: 3}}, episodes: 4}}
""")
    assert cli.main(["run", str(tmp_path / "config.yaml"), "--runs", str(tmp_path / "runs")]) == 0
    (report,) = (tmp_path / "runs").rglob("report.json")
    assert "Clustered" in (report.parent / "config.yaml").read_text()


def test_refusals(tmp_path: Path) -> None:
    for clusters in (1, 61):
        with pytest.raises(MetatlError, match="has 60 rows; give 2 to 60"):
            loaded(made(tmp_path), clusters)
