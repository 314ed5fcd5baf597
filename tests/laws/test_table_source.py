"""A table as a config's source: tasks of groups, or of classes; inputs fitted to meta_train alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import SPLITS, ClassData, GroupArrays, GroupData, Table, Tasks
from metatl.types import MetatlError
from tests.commands import metatl, written

pytest.importorskip("sklearn")
TASKS = Tasks(way=2, shot=2, query=3)


def wards(path: Path) -> str:
    """Ten wards with three visits each, of 4 patients of each of two findings."""
    draw = np.random.default_rng(0)
    rows = [(w, v, f) for w in range(10) for v in range(3) for f in range(2) for _ in range(4)]
    lines = ["ward,visit,id,age,marker,sex,finding"]
    for i in draw.permutation(len(rows)):
        w, v, f = rows[i]
        age, marker = draw.normal(50 + 100 * w, 5), draw.normal(3 * f, 1)
        lines.append(f"ward {w},{100 * w + v},p{i},{age:.1f},{marker:.3f},{'fm'[i % 2]},{['well', 'ill'][f]}")
    (path / "wards.csv").write_text("\n".join([*lines, "ward 1,,p999,7,7,f,ill", ",1,p998,7,7,f,ill"]))
    return str(path / "wards.csv")


def test_a_task_is_a_group_whose_support_and_query_lie_apart(tmp_path: Path) -> None:
    data = Table(wards(tmp_path), "finding", "ward", "visit").load()
    assert isinstance(data, GroupData)
    assert data.labels == ("ill", "well")
    assert [len(data.groups[split].ids) for split in SPLITS] == [6, 2, 2]
    told = data.describe()
    assert told["columns_left_out"] == {"id": "nearly every value differs"}
    assert told["columns"] == ["age", "marker", "sex"]
    assert any("2 rows without ward or visit" in note for note in told["notes"])
    assert data.shape == (4,)
    fitted = data.groups["meta_train"].x
    torch.testing.assert_close(fitted[:, :2].mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    assert data.groups["meta_test"].x[:, 0].mean().abs() > 0.05
    episode = data.draw("meta_test", TASKS, 0, 0, 3)
    assert episode.support.x.shape == (3, 4, 4)
    assert not {*map(tuple, episode.support.x[0].tolist())} & {*map(tuple, episode.query.x[0].tolist())}


def test_groups_of_a_table_are_those_of_arrays(tmp_path: Path) -> None:
    """The same rows as an npz file give the same groups, sides and episodes, but for the inputs' scale."""
    table = Table(wards(tmp_path), "finding", "ward", "visit").load()
    assert isinstance(table, GroupData)
    import csv

    with open(tmp_path / "wards.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["ward"] and row["visit"]]
    held: dict[str, Any] = {
        "x": np.array([[float(row["age"]), float(row["marker"])] for row in rows], np.float32),
        "y": np.array([row["finding"] for row in rows]),
        "ward": np.array([row["ward"] for row in rows]),
        "visit": np.array([row["visit"] for row in rows]),
    }
    np.savez(tmp_path / "w.npz", **held)
    arrays = GroupArrays(str(tmp_path / "w.npz"), "ward", "visit").load()
    for split in SPLITS:
        assert table.groups[split].ids == arrays.groups[split].ids
        one, other = table.draw(split, TASKS, 0, 0, 4), arrays.draw(split, TASKS, 0, 0, 4)
        scaled, plain = one.support.x[..., 0].flatten(), other.support.x[..., 0].flatten()
        assert torch.equal(scaled.argsort(stable=True), plain.argsort(stable=True))
        assert torch.equal(one.support.y, other.support.y)


def test_without_a_group_tasks_are_of_new_classes(tmp_path: Path) -> None:
    lines = ["a,b,kind"] + [f"{i},{i % 7},k{i % 10}" for i in range(120)] + ["1,1,rare", "2,2,"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = Table(str(tmp_path / "t.csv"), "kind", smallest=5).load()
    assert isinstance(data, ClassData)
    assert [data.classes(split) for split in SPLITS] == [6, 2, 2]
    bank = data.banks["meta_train"]
    torch.testing.assert_close(bank.x.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    assert data.draw("meta_test", TASKS, 0, 0, 2).support.x.shape == (2, 4, 2)
    listed = Table(str(tmp_path / "t.csv"), "kind", train=("k1", "k2"), test=("k3", "k4")).load()
    assert isinstance(listed, ClassData)
    assert listed.banks["meta_train"].names == ("k1", "k2")


def test_content_tells_tables_apart(tmp_path: Path) -> None:
    path = wards(tmp_path)
    for source in (Table(path, "finding", "ward"), Table(path, "sex", drop=("id",), fractions=(1, 0, 0))):
        before = source.load().describe()["content"]
        assert source.load().describe()["content"] == before
        text = Path(path).read_text()
        Path(path).write_text(text.replace("ward 3,301,", "ward 3,302,").replace(",f,", ",m,", 1))
        assert source.load().describe()["content"] != before
        Path(path).write_text(text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"target": "findings"}, "nearest: finding"),
        ({"target": "age"}, "real values, and tasks need classes"),
        ({"target": "finding", "apart": "visit"}, "name the group"),
        ({"target": "finding", "group": "wards"}, "nearest: ward"),
        ({"target": "finding", "drop": ("idd",)}, "no column 'idd'"),
        ({"target": "finding", "group": "ward", "join": 99}, "join is 99; give 1 to 6"),
        ({"target": "finding", "smallest": 10**6}, "lower smallest"),
        ({"target": "finding", "group": "ward", "fractions": (0.0, 0.0, 1.0)}, "meta_train is empty"),
        ({"target": "finding"}, "leave none for"),
    ],
)
def test_what_does_not_work_out_is_one_line(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        Table(wards(tmp_path), **more).load()


def test_it_runs_from_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_home: Path) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"path": wards(tmp_path), "target": "finding", "group": "ward", "apart": "visit"}
    path = written(
        tmp_path,
        {
            "name": "wards",
            "data": {"class_path": "Table", "init_args": source},
            "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
            "learner": {"class_path": "Supervised", "init_args": {"steps": 2, "batch_size": 8}},
            "adaptation": {"steps": 1, "head": {"class_path": "Zeros"}},
            "evaluation": {"tasks": {"shot": 2, "query": 3}, "episodes": 4},
        },
    )
    said = metatl("run", path)
    assert said.code == 0
    assert "(meta_test, 4 episodes" in said.out


@pytest.mark.data
def test_protocols_are_groups_of_cells(data_root: Path) -> None:
    path = data_root / "sc_mixology" / "sc_mixology_3000.npz"
    drop = ("barcode", "singlet", "total_count")
    data = Table(str(path), "y", "protocol", drop=drop, fractions=(0.6, 0.0, 0.4)).load()
    assert isinstance(data, GroupData)
    assert len(data.labels) == 5
    assert data.shape[0] > 2900
    assert {*data.describe()["left_out"]} <= set(np.load(path)["protocols"].tolist())
