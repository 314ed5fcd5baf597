"""Anybody's data as tasks of groups: who is in which split, what lies apart, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import SPLITS, GroupArrays, Tasks
from metatl.types import MetatlError
from tests.commands import metatl, refused, written

TASKS = Tasks(shot=2, query=3)


def wards(path: Path, **changed: Any) -> str:
    """Ten wards with three visits each, of 4 rows of each of two findings; x holds (ward, visit, finding)."""
    table = np.array([(w, v, f) for w in range(10) for v in range(3) for f in range(2) for _ in range(4)])
    table = table[np.random.default_rng(0).permutation(len(table))]
    held: dict[str, Any] = {
        "x": table.astype(np.float32),
        "y": np.array(["ill", "well"])[table[:, 2]],
        "ward": np.array([f"ward {n}" for n in table[:, 0]]),
        "visit": table[:, 0] * 100 + table[:, 1],
    }
    np.savez(
        path / "wards.npz", **{name: part for name, part in (held | changed).items() if part is not None}
    )
    return str(path / "wards.npz")


def test_a_task_is_a_group_whose_support_and_query_lie_apart(tmp_path: Path) -> None:
    data = GroupArrays(wards(tmp_path), "ward", "visit").load()
    ids = [set(data.groups[split].ids) for split in SPLITS]
    assert [len(own) for own in ids] == [6, 2, 2]
    assert set.union(*ids) == {f"ward {n}" for n in range(10)}
    assert data.labels == ("ill", "well")
    for split in SPLITS:
        episode = data.draw(split, TASKS, 0, 0, 12)
        for i in range(12):
            support, query = episode.support.x[i], episode.query.x[i]
            both = torch.cat([support, query])
            assert [f"ward {int(n)}" for n in both[:, 0].unique()] == [data.group(split, i)]
            assert not {*support[:, 1].tolist()} & {*query[:, 1].tolist()}
            assert torch.equal(support[:, 2].long(), episode.support.y[i])
            assert torch.equal(query[:, 2].long(), episode.query.y[i])


def test_without_parts_the_sides_are_halves_of_every_class(tmp_path: Path) -> None:
    number = np.arange(240, dtype=np.float32)
    data = GroupArrays(wards(tmp_path, x=np.stack([number, number], 1)), "ward").load()
    assert data.groups["meta_train"].counts.unique().tolist() == [6]
    episode = data.draw("meta_test", Tasks(shot=6, query=6), 0, 0, 2)
    for i in range(2):
        rows = torch.cat([episode.support.x[i, :, 0], episode.query.x[i, :, 0]])
        assert rows.unique().numel() == 24
    again = GroupArrays(wards(tmp_path, x=np.stack([number, number], 1)), "ward", seed=1).load()
    assert again.content != data.content


def test_groups_are_listed_or_shared_out(tmp_path: Path) -> None:
    listed = GroupArrays(
        wards(tmp_path), "ward", train=("ward 1", "ward 2"), val=("ward 3",), test=("ward 4",), join=2
    ).load()
    assert listed.groups["meta_train"].ids == ("ward 1", "ward 2")
    assert listed.draw("meta_train", TASKS, 0, 0, 3).support.x.shape == (3, 8, 3)
    with pytest.raises(MetatlError, match="no group 'ward 99'"):
        GroupArrays(wards(tmp_path), "ward", train=("ward 99",), test=("ward 1",)).load()
    with pytest.raises(MetatlError, match="listed twice"):
        GroupArrays(wards(tmp_path), "ward", train=("ward 1",), test=("ward 1",)).load()
    with pytest.raises(MetatlError, match="add up to 1"):
        GroupArrays(wards(tmp_path), "ward", fractions=(0.5, 0.1, 0.1)).load()
    with pytest.raises(MetatlError, match="join is 9"):
        GroupArrays(wards(tmp_path), "ward", join=9).load()


def test_a_group_without_a_class_on_a_side_is_left_out_by_name(tmp_path: Path) -> None:
    table = np.load(wards(tmp_path))
    well = table["y"] == "well"
    y = np.where((table["ward"] == "ward 3") & (table["x"][:, 1] < 2) & well, "ill", table["y"])
    data = GroupArrays(wards(tmp_path, y=y), "ward", "visit", fractions=(1.0, 0.0, 0.0)).load()
    assert data.describe()["left_out"] == ["ward 3"]
    assert "ward 3" not in data.groups["meta_train"].ids
    one = np.where(well, 0, 100 + np.arange(240))
    with pytest.raises(MetatlError, match="every class in two disjoint sets of visits"):
        GroupArrays(wards(tmp_path, visit=one), "ward", "visit").load()


@pytest.mark.parametrize(
    ("changed", "given", "said"),
    [
        ({}, {"group": "person"}, "no array 'person'; it has x, y, ward, visit"),
        ({}, {"apart": "day"}, "no array 'day'"),
        ({"y": None}, {}, "no array 'y'"),
        ({"y": np.zeros(240, np.float32)}, {}, "real values"),
        ({"y": np.zeros(239, np.int64)}, {}, "240 rows and y has 239"),
        ({"ward": np.zeros((240, 2), np.int64)}, {}, r"ward is int64 \[240, 2\]"),
        ({"ward": np.zeros(240, np.float32)}, {}, "ward is float32"),
        ({"x": np.full((240, 2), np.nan, np.float32)}, {}, "not finite"),
    ],
)
def test_wrong_files_are_one_line(
    tmp_path: Path, changed: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    source = GroupArrays(wards(tmp_path, **changed), **{"group": "ward", "apart": "visit", **given})
    with pytest.raises(MetatlError, match=said) as error:
        source.load()
    assert "\n" not in str(error.value)


def test_it_runs_from_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {
        "name": "wards",
        "data": {"class_path": "GroupArrays", "init_args": {"path": wards(tmp_path), "group": "ward"}},
        "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
        "learner": {"class_path": "Supervised", "init_args": {"steps": 3}},
        "adaptation": {"steps": 2},
        "evaluation": {"tasks": {"shot": 2, "query": 2}, "episodes": 4, "select_episodes": 2},
    }
    found = metatl("run", written(tmp_path, values))
    assert (found.code, "(meta_test, 4 episodes, inductive)" in found.out) == (0, True), found
    assert "lower shot" in refused("run", written(tmp_path, values), "--evaluation.tasks.shot", "9")
