"""Every source is cut by any column as the person; every group's score, the worst tenth, who is harmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import GroupArrays, GroupData, Sentences, Table, Tasks
from metatl.data.source import Source
from metatl.evaluation import compare
from metatl.evaluation.report import Report
from metatl.lab.render import groups_console, groups_markdown
from metatl.types import MetatlError
from tests import tiny_texts

PEOPLE = tuple("abcdefghij")


def windows(path: Path, **changed: Any) -> str:
    """Ten people with two days each, of 3 windows of two frequent classes and 1 of a rare one, as int16."""
    rows = [
        (p, d, c) for p in range(10) for d in range(2) for c in (1, 2, 7) for _ in range(1 if c == 7 else 3)
    ]
    table = np.array(rows)
    x = np.random.default_rng(0).integers(-900, 900, (len(table), 2, 5)).astype(np.int16)
    held: dict[str, Any] = {
        "x": x, "y": table[:, 2], "who": np.array(PEOPLE)[table[:, 0]], "day": table[:, 0] * 10 + table[:, 1],
        "unit": np.array([0.5, 4.0], np.float32), "called": np.array(["Sit", "Walk", "Jump"]),
    }  # fmt: skip
    np.savez(path / "windows.npz", **(held | changed))
    return str(path / "windows.npz")


def test_stored_integers_become_standard_values_of_frequent_classes(tmp_path: Path) -> None:
    path = windows(tmp_path)
    source = GroupArrays(path, "who", "day", names="called", smallest=30, scale="unit", standardise=True)
    data = source.load()
    assert data.labels == ("sit", "walk")
    train = data.groups["meta_train"].x.double()
    assert train.mean((0, 2)).abs().max() < 1e-6
    assert (train.std((0, 2), correction=0) - 1).abs().max() < 1e-6
    plain = GroupArrays(path, "who", "day", scale="unit").load()
    held = np.load(path)
    assert plain.groups["meta_train"].x.abs().max() == np.abs(held["x"] * held["unit"][:, None])[
        np.isin(held["who"], plain.groups["meta_train"].ids)
    ].max()  # fmt: skip
    again = source.further(Path(path), data, labelled=True)
    assert set(again.labels or ()) == {"sit", "walk", "jump"}
    first = torch.from_numpy(np.isin(held["who"], data.groups["meta_train"].ids) & (held["y"] < 7))
    assert torch.equal(again.x[first].sort(0).values, data.groups["meta_train"].x.sort(0).values)


@pytest.mark.parametrize(
    ("changed", "given", "said"),
    [
        ({"unit": np.ones(3, np.float32)}, {}, "2 channels"),
        ({"called": np.array(["a"])}, {}, "1 names for 3 labels"),
        ({"day": np.zeros(140, int)}, {}, "so that none lie apart"),
        ({}, {"group": "whom"}, "nearest: who"),
        ({}, {"smallest": 999}, "lower smallest"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(
    tmp_path: Path, changed: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    words: dict[str, Any] = {"group": "who", "apart": "day", "names": "called", "scale": "unit", **given}
    with pytest.raises(MetatlError, match=said) as error:
        GroupArrays(windows(tmp_path, **changed), **words).load()
    assert "\n" not in str(error.value)


def sentences(path: Path) -> Path:
    """Ten people who say yes and no in two sessions, three times each."""
    lines = [
        f"{who},{day},{word},{word} {i}"
        for who in PEOPLE
        for day in ("mon", "tue")
        for word in ("yes", "no")
        for i in range(3)
    ]
    (path / "said.csv").write_text("\n".join(["who,day,intent,text", *lines]) + "\n")
    return path / "said.csv"


def test_sentences_of_a_person(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    file, net = sentences(tmp_path), str(tiny_texts.folder(tmp_path / "net"))
    source = Sentences(str(file), "text", "intent", net=net, group="who", apart="day")
    data = source.load()
    assert isinstance(data, GroupData)
    assert sorted(data.labels) == ["no", "yes"]
    assert [len(part.ids) for part in data.groups.values()] == [6, 2, 2]
    episode = data.draw("meta_test", Tasks(shot=2, query=3), 0, 0, 4)
    assert episode.support.x.dtype == torch.int64
    assert episode.support.x.shape[:2] == (4, 4)
    assert episode.query.y.shape == (4, 6)
    rows = source.further(file, data, labelled=True)
    assert rows.x.shape[1:] == data.shape
    assert rows.labels is not None
    assert len(rows.labels) == len(rows.ids) == 120
    with pytest.raises(MetatlError, match="name the group"):
        Sentences(str(file), "text", "intent", net=net, apart="day").load()
    with pytest.raises(MetatlError, match="nearest: who"):
        Sentences(str(file), "text", "intent", net=net, group="whoo").load()


def test_a_table_reads_further_rows_as_its_own(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    rows = [
        f"{who},{day},{word},{rng.normal():.3f},{'xy'[i % 2]}"
        for who in PEOPLE for day in "ab" for word in ("yes", "no") for i in range(3)
    ]  # fmt: skip
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["who,day,word,size,kind", *rows]) + "\n")
    source = Table(str(file), "word", "who", "day")
    data = source.load()
    assert isinstance(data, GroupData)
    found = source.further(file, data, labelled=True)
    assert found.ids == tuple(str(line) for line in range(2, 122))
    assert found.labels == tuple(row.split(",")[2] for row in rows)
    train = torch.tensor([row.split(",")[0] in data.groups["meta_train"].ids for row in rows])
    assert torch.equal(found.x[train].sort(0).values, data.groups["meta_train"].x.sort(0).values)
    assert source.further(file, data, labelled=False).labels is None


def test_a_source_without_files_says_so() -> None:
    class Own(Source):
        def load(self, device: str = "cpu") -> Any: ...

    with pytest.raises(MetatlError, match="reads no further files"):
        Own().further(Path("a"), None, labelled=True)  # pyright: ignore[reportArgumentType]


def report(method: str, scores: list[float]) -> Report:
    return Report(method, np.array(scores), {"score": "accuracy"}, {})


def test_scores_by_group() -> None:
    groups = ["10", "2", "10", "2", "ann", "ann"]
    none, own = report("none", [0.5, 0.5, 0.7, 0.5, 0.9, 0.9]), report("own", [0.8, 0.4, 0.8, 0.5, 0.9, 0.9])
    floor, row = compare.by_group([none, own], groups, "none")
    assert list(row["by_group"]) == ["2", "10", "ann"]
    assert row["by_group"] == pytest.approx({"2": 45, "10": 80, "ann": 90})
    assert row["harmed"] == ["2"]
    assert floor["harmed"] == []
    assert row["worst_tenth"] == pytest.approx(45)
    assert row["accuracy"] == pytest.approx(215 / 3)
    sd = np.std([45, 80, 90], ddof=1)
    assert row["ci95"] == pytest.approx(4.302652730 * sd / 3**0.5)
    assert "1: 2" in groups_console([floor, row])
    assert "| ann | 90.00 | 90.00 |" in groups_markdown([floor, row], "none")
    with pytest.raises(MetatlError, match="6 episodes cannot be paired with 5 groups"):
        compare.by_group([none, own], groups[:5], "none")
    lost = [
        Report(m, np.array(s), {"score": "MSE"}, {}) for m, s in (("none", [1.0, 2.0]), ("own", [2.0, 1.0]))
    ]
    assert compare.by_group(lost, ["a", "b"], "none")[1]["harmed"] == ["a"]  # of losses more is worse
