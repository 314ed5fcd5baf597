"""`metatl transfer` and `predict` on tables and sentences, as people have them."""

from __future__ import annotations

import csv
import html.parser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from metatl.lab import store
from metatl.transferring.opened import Words
from metatl.transferring.transfer import transfer
from tests.commands import metatl, refused
from tests.photos import drawn

pytest.importorskip("sklearn")
FEW = ("--draws", "2", "--minutes", "0.4")


def written(file: Path, names: list[str], rows: Any) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows(rows)
    return file


def patients(file: Path, count: int = 120, seed: int = 0, more: bool = False) -> Path:
    """Numbers with gaps, a category, a date and a yes/no column; who is ill depends on two of them."""
    rng = np.random.default_rng(seed)
    rows: list[list[Any]] = []
    for i in range(count):
        age, dose, ward = rng.normal(50, 15), rng.normal(), rng.choice(["north", "south", "west"])
        ill = age / 15 + 2 * dose + (ward == "south") > 3.5
        gap = "" if rng.random() < 0.1 else f"{dose:.3f}"
        day = f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}"
        outcome = "ill" if ill else "well"
        rows.append([f"p{i}", f"{age:.1f}", gap, ward, day, "yes" if i % 3 else "no", outcome])
    names = ["id", "age", "dose", "ward", "since", "smokes", "outcome"]
    if more:
        names, rows = [*names, "height"], [[*row, "1.8"] for row in rows]
    return written(file, names, rows)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    place = tmp_path_factory.mktemp("t")
    words = ("--target", "outcome", "--drop", "id", "--labelled", "5,all", "--out", place / "o")
    found = metatl("transfer", patients(place / "patients.csv"), *words, *FEW)
    assert found.code == 0, found
    return place


def at(folder: Path) -> dict[tuple[str, Any], dict[str, Any]]:
    return {(row["method"], row["labelled"]): row for row in store.read_json(folder / "report.json")["rows"]}


def test_a_table_has_its_rows_and_no_others(done: Path) -> None:
    rows = at(done / "o")
    methods = {name for name, _ in rows}
    assert {"logistic-regression", "ridge", "extra-trees", "boosted-trees", "nearest-neighbours"} <= methods
    assert not {"fine-tuning", "zero-shot", "gtl", "logistic-on-columns"} & methods
    assert rows["logistic-regression", "all"]["score"] > 75
    assert set(rows["ridge", 5]["also"]) >= {"balanced accuracy", "macro F1", "AUROC", "log loss"}


def test_predictions_stand_in_the_lines_of_their_rows(done: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader((done / "patients.csv").read_text().splitlines()))
    names = ["smokes", "ward", "id", "age", "since", "dose", "new"]
    some = [[*(row.get(name, "x") for name in names[:-1]), "1"] for row in rows[:9]]
    some[4][1] = "a ward that nobody saw"
    found = metatl("predict", done / "o", written(tmp_path / "new.csv", names, some))
    assert found.code == 0
    said = list(csv.DictReader(found.out.splitlines()))
    assert [one["line"] for one in said] == [f"p{i}" for i in range(9)]
    whole = metatl("predict", done / "o", done / "patients.csv")
    same = list(csv.DictReader(whole.out.splitlines()))
    assert len(same) == len(rows)
    assert [one["probability"] for one in said[:4]] == [one["probability"] for one in same[:4]]
    assert any("1 value of ward not seen" in line for line in found.lines)
    right = np.mean([one["label"] == row["outcome"] for one, row in zip(same, rows, strict=True)])
    assert right > 0.75


def test_a_page_shows_the_rows_that_are_wrong(done: Path) -> None:
    page = (done / "o" / "report.html").read_text()
    html.parser.HTMLParser().feed(page)
    assert "surest mistakes" in page
    assert "ward" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which column is to be predicted"),
        (("--target", "outcom"), "outcome"),
        (("--target", "outcome", "--drop", "name"), "no column 'name'"),
        (("--target", "outcome", "--methods", "lora"), "there is none; name one with --net"),
        (("--target", "outcome", "--labelled", "500"), "500 is too many"),
        (("--target", "since"), "is a date"),
    ],
)
def test_a_mistake_on_a_table_is_one_line(done: Path, tmp_path: Path, words: Any, said: str) -> None:
    assert said in refused("transfer", done / "patients.csv", *words, "--out", tmp_path / "o")


def test_a_number_that_cannot_be_squared_is_named(tmp_path: Path) -> None:
    rows = [[str(i), "1e300" if i == 4 else str(i / 3), "ab"[i % 2]] for i in range(40)]
    table = written(tmp_path / "t.csv", ["i", "large", "y"], rows)
    line = refused("transfer", table, "--target", "y", "--methods", "ridge", "--out", tmp_path / "o")
    assert "column large holds 1e+300" in line
    assert "line 6), too large to be squared" in line


def test_a_column_that_is_gone_or_changed_is_one_line(done: Path, tmp_path: Path) -> None:
    rows = [["p1", "south", "2024-01-01", "yes", "1.5"], ["p2", "north", "2024-01-02", "no", "2"]]
    lacking = written(tmp_path / "a.csv", ["id", "ward", "since", "smokes", "dose"], rows)
    assert "age" in refused("predict", done / "o", lacking)
    other = [[*row, "old"] for row in rows]
    changed = written(tmp_path / "b.csv", ["id", "ward", "since", "smokes", "dose", "age"], other)
    assert "age" in refused("predict", done / "o", changed)


def test_real_values_are_predicted_in_their_own_unit(tmp_path: Path, cache_home: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    y = 1000 + 50 * (x @ [1.0, -2.0, 0.5])
    found = transfer(
        {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "price": y},
        labelled="20,all", draws=3, minutes=2, methods="ridge,nearest-neighbours",
        out=tmp_path / "o", words=Words(target="price"),
    )  # fmt: skip
    rows = {(row["method"], row["labelled"]): row for row in found.report["rows"]}
    assert found.report["protocol"]["score"] == "MSE"
    assert rows["ridge", "all"]["score"] < 0.2 * y.var()
    assert rows["ridge", "all"]["also"]["R2"] > 0.8
    new = written(tmp_path / "n.csv", ["a", "b", "c"], x[:20].tolist())
    said = list(csv.DictReader(metatl("predict", tmp_path / "o", new).out.splitlines()))
    values = np.array([float(one["price"]) for one in said])
    assert np.abs(values - y[:20]).mean() < 0.5 * np.abs(y - y.mean()).mean()


def test_several_labels_at_once(tmp_path: Path, cache_home: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    tags = [";".join(name for name, on in zip(("red", "big"), row[:2] > 0, strict=True) if on) for row in x]
    file = written(
        tmp_path / "t.csv", ["a", "b", "c", "tags"], [[*r, t] for r, t in zip(x, tags, strict=True)]
    )
    words = ("--target", "tags", "--several", ";", "--labelled", "50", "--methods", "ridge")
    found = metatl("transfer", file, *words, *FEW, "--out", tmp_path / "o")
    assert found.code == 0, found
    report = store.read_json(tmp_path / "o" / "report.json")
    assert report["protocol"]["score"] == "averaged precision"
    assert max(row["score"] for row in report["rows"]) > 90
    said = list(csv.DictReader(metatl("predict", tmp_path / "o", file).out.splitlines()))
    rows = list(csv.DictReader(file.read_text().splitlines()))
    named = [
        sorted(one["labels"].split(";")) == sorted(row["tags"].split(";"))
        for one, row in zip(said, rows, strict=True)
    ]
    assert np.mean(named) > 0.7


def test_a_source_with_other_columns_makes_a_net(tmp_path: Path, cache_home: Path) -> None:
    place = patients(tmp_path / "here.csv", 60)
    source = patients(tmp_path / "there.csv", 300, seed=1, more=True)
    words = ("--target", "outcome", "--drop", "id,since", "--source", source, "--labelled", "2", *FEW)
    some = "logistic-regression,logistic-on-columns,fine-tuning,l2-sp,fish,kl-anchor"
    found = metatl("transfer", place, *words, "--methods", some, "--out", tmp_path / "o")
    assert found.code == 0, found
    rows = at(tmp_path / "o")
    told = store.read_json(tmp_path / "o" / "report.json")["protocol"]
    assert {name for name, _ in rows} | {one["method"] for one in told["missing"]} == set(some.split(","))
    assert rows["logistic-regression", 2]["score"] > rows["logistic-on-columns", 2]["score"]
    assert any("height" in note for note in told["notes"])
    assert metatl("predict", tmp_path / "o", place).code == 0


def test_whole_groups_are_labelled_or_judged(tmp_path: Path, cache_home: Path) -> None:
    """A row's group tells its class exactly, so that a table which mixed groups would read 100 %."""
    rng = np.random.default_rng(0)
    rows = [[i % 12, rng.normal(), i % 12 + rng.normal(0, 0.01), "ab"[i % 12 % 2]] for i in range(120)]
    file = written(tmp_path / "g.csv", ["who", "noise", "trace", "class"], rows)
    words = ("--target", "class", "--labelled", "all", "--methods", "nearest-neighbours", *FEW)
    found = {}
    for more in ((), ("--group", "who")):
        out = tmp_path / f"o{len(more)}"
        assert (
            metatl(
                "transfer", file, *words, *more, "--drop", "who,noise" if not more else "noise", "--out", out
            ).code
            == 0
        )
        found[more] = at(out)["nearest-neighbours", "all"]["score"]
        assert ("folds of whole groups" in (out / "table.md").read_text()) == bool(more)
    assert found[()] > 95
    assert found["--group", "who"] < 70


def test_rows_of_the_source_that_are_the_data_s_are_left_out(tmp_path: Path, cache_home: Path) -> None:
    """They would tell the targets of rows that judge, also where the source has a column more."""
    place = patients(tmp_path / "here.csv", 40)
    both = patients(tmp_path / "there.csv", 200, seed=1, more=True)
    again = patients(tmp_path / "again.csv", 40, more=True).read_text().splitlines()[1:]
    both.write_text(both.read_text() + "\n".join(again) + "\n")
    words = ("--target", "outcome", "--drop", "id", "--labelled", "2", "--methods", "ridge", *FEW)
    found = metatl("transfer", place, *words, "--source", both, "--out", tmp_path / "o")
    assert found.code == 0, found
    assert "40 rows that are among the data too" in found.out
    assert "learned on 200 rows of there" in (tmp_path / "o" / "table.md").read_text()
    whole = patients(tmp_path / "whole.csv", 40, more=True)
    said = refused("transfer", place, *words, "--source", whole, "--out", tmp_path / "p")
    assert "all its rows are rows of the data too" in said


def test_a_net_or_a_source_of_something_else_is_one_line(done: Path, tmp_path: Path) -> None:
    words = ("transfer", done / "patients.csv", "--target", "outcome", "--out", tmp_path / "o")
    assert "Conv4 reads photos, and these are rows" in refused(*words, "--net", "Conv4")
    assert "there is none; leave it out" in refused(*words, "--size", "20")
    folder = drawn(tmp_path / "p", {"": 4})
    pictured = refused(
        "transfer", folder, "--net", "Conv4", "--source", sounds(tmp_path / "w"), "--out", tmp_path / "q"
    )
    assert "it holds recordings, and the data are photos" in pictured


def sounds(folder: Path) -> Path:
    """Two classes of noise."""
    for i in range(4):
        file = folder / "ab"[i % 2] / f"{i}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(file, 8000, np.random.default_rng(i).normal(size=4000).astype(np.float32))
    return folder
