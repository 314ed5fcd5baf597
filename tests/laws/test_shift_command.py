"""`metatl shift` on small files: what it says, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.shifts.shift import shift
from metatl.transferring.opened import Words
from metatl.transferring.rows import rows
from metatl.types import MetatlError
from tests import tiny_texts
from tests.commands import metatl, refused

pytest.importorskip("sklearn")


def table(path: Path, seed: int = 0, rows: int = 120, move: float = 0.0, **said: Any) -> Path:
    """Two inputs and a class; labels: others in place of no and yes."""
    draw, labels = np.random.default_rng(seed), said.get("labels", ("no", "yes"))
    x = draw.normal(size=(rows, 2)) + move
    y = (
        [""] * rows
        if not labels
        else [labels[i % len(labels) if len(labels) > 2 else int(row > 0)] for i, row in enumerate(x[:, 0])]
    )
    names = said.get("names", ("age", "dose"))
    lines = [",".join([*names, "ill"])] if labels else [",".join(names)]
    lines += [f"{a:.4f},{b:.4f}" + f",{one}" * bool(labels) for (a, b), one in zip(x, y, strict=True)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return table(tmp_path / "source.csv")


def test_a_moved_domain_is_said_written_and_drawn(tmp_path: Path, source: Path) -> None:
    target, out = table(tmp_path / "target.csv", 1, move=1.5), tmp_path / "out"
    found = metatl("shift", source, target, "--target", "ill", "--out", out)
    assert found.code == 0, found
    assert "feature space: the same" in found.out
    assert "covariate shift" in found.out
    report = json.loads((out / "report.json").read_text())
    assert report["setting"] == "inductive"
    assert (out / "shift.png").read_bytes()[:4] == b"\x89PNG"
    assert {test["question"] for test in report["tests"]} == {"P(X)", "P(Y)", "P(X given Y)", "P(Y given X)"}
    assert report["try"]
    assert len(report["because"]) == 3
    assert {"weights-by-classifier", "surgical-first"} <= {*report["try"]}
    assert not {"coral", "adabn"} & {*report["try"]}, "they would mix up classes whose shares moved"
    assert "and the shares of the classes differ" in report["because"][0]
    assert "would mix up classes of other shares" in report["because"][1]
    assert "norms-only" not in report["try"], "the net of a table has no norm"
    shares = {one["class"]: one["target"] for one in report["labels"]}
    assert shares["yes"] > 0.85
    assert {one["input"] for one in report["furthest"]} == {"age", "dose"}
    assert "furthest apart, by Wasserstein distance in standard deviations: " in found.out
    again = metatl("shift", source, target, "--target", "ill", "--out", tmp_path / "again")
    assert (tmp_path / "again" / "report.json").read_bytes() == (out / "report.json").read_bytes()
    assert again.code == 0


def test_where_the_shares_of_classes_stay_rows_that_align_inputs_are_named(
    tmp_path: Path, source: Path
) -> None:
    target = tmp_path / "target.csv"
    lines = table(tmp_path / "other.csv", 1).read_text().splitlines()
    moved = [line.split(",") for line in lines[1:]]
    target.write_text("\n".join([lines[0], *(f"{a},{float(b) + 1.5},{y}" for a, b, y in moved)]))
    report = shift(source, target, Words(target="ill"), out=tmp_path / "out").report
    assert report["shifts"] == ["covariate"]
    assert {"coral", "adabn"} <= {*report["try"]}
    assert "shares" not in "".join(report["because"])


def test_disjoint_columns_are_a_difference_of_feature_spaces(tmp_path: Path, source: Path) -> None:
    target = table(tmp_path / "t.csv", 1, names=("weight", "height"))
    report = shift(source, target, Words(target="ill"), out=tmp_path / "o").report
    assert report["feature_space"]["is"] == "disjoint"
    assert [test["question"] for test in report["tests"]] == ["P(Y)"]
    assert "feature spaces are disjoint" in report["because"][0]


def test_a_class_that_the_source_never_saw_is_named(tmp_path: Path, source: Path) -> None:
    target = table(tmp_path / "t.csv", 1, labels=("no", "yes", "perhaps"))
    found = metatl("shift", source, target, "--target", "ill", "--out", tmp_path / "o")
    assert found.code == 0, found
    assert "the source never saw 'perhaps'" in found.out


def test_where_the_target_has_no_label_rows_are_named_that_need_none(tmp_path: Path, source: Path) -> None:
    target = table(tmp_path / "target.csv", 1, move=1.5, labels=())
    found = metatl("shift", source, target, "--target", "ill", "--out", tmp_path / "o")
    assert found.code == 0, found
    report = json.loads((tmp_path / "o/report.json").read_text())
    assert report["setting"] == "transductive"
    assert "coral" in report["try"]
    assert all(row.serves(0) for row in rows(report["try"]).values())


def test_a_target_without_labels_and_no_labels_at_all(tmp_path: Path, source: Path) -> None:
    target = table(tmp_path / "t.csv", 1, labels=())
    assert shift(source, target, Words(target="ill"), out=tmp_path / "o").report["setting"] == "transductive"
    plain = table(tmp_path / "p.csv", 2, labels=())
    report = shift(plain, target, out=tmp_path / "p").report
    assert report["setting"] == "unsupervised"
    assert report["shifts"] == []
    assert report["labels"] == []


def test_a_target_of_one_class_is_compared(tmp_path: Path, source: Path) -> None:
    target = table(tmp_path / "t.csv", 1, move=9.0)
    report = shift(source, target, Words(target="ill"), out=tmp_path / "o").report
    assert report["label_space"]["absent"] == ["no"]


def test_real_targets_are_cut_at_the_sources_quartiles(tmp_path: Path, source: Path) -> None:
    target = table(tmp_path / "t.csv", 1)
    report = shift(source, target, Words(target="dose"), out=tmp_path / "o").report
    assert [one["source"] for one in report["labels"]] == [0.25] * 4


def test_what_cannot_be_compared_is_one_line(tmp_path: Path, source: Path) -> None:
    words = "--target", "ill", "--out", tmp_path / "o"
    empty = tmp_path / "empty.csv"
    empty.write_text("age,dose,ill\n")
    assert "no row" in refused("shift", source, empty, *words)
    few = table(tmp_path / "few.csv", rows=3)
    assert "3 rows; give 20 or more" in refused("shift", source, few, *words)
    one = table(tmp_path / "one.csv", 1, move=9.0)
    assert "one class only ('yes')" in refused("shift", one, source, *words)
    assert "hold the same 120 rows" in refused("shift", source, source, *words)
    assert "nearest: ill" in refused("shift", source, one, "--target", "il")
    assert "no such file" in refused("shift", source, tmp_path / "nowhere.csv", *words)
    assert not (tmp_path / "o").exists()
    assert "two of one kind" in refused("shift", source, tmp_path, *words)


def test_sentences_are_compared_by_a_nets_features(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    net = tiny_texts.folder(tmp_path / "net")
    money, weather = ("send my money", "pay a bill", "move cash"), ("rain to snow", "cold wind", "hot sun")
    for name, few in (("one", money), ("other", weather)):
        lines = [f"{few[i % 3]} {few[i % 2].split()[0]},{'ab'[i % 2]}" for i in range(40)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["said,y", *lines]))
    words = Words(target="y", text="said")
    report = shift(tmp_path / "one.csv", tmp_path / "other.csv", words, f"hf:{net}", tmp_path / "o").report
    assert "covariate" in report["shifts"] or "concept" in report["shifts"]


def test_photos_are_compared_by_a_nets_features(tmp_path: Path) -> None:
    from PIL import Image

    draw = np.random.default_rng(0)
    for name, light in (("dark", 60), ("light", 190)):
        for one in ("cat", "dog"):
            folder = tmp_path / name / one
            folder.mkdir(parents=True)
            for i in range(20):
                pixels = draw.normal(light, 20, (16, 16, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    report = shift(tmp_path / "dark", tmp_path / "light", Words(), "Conv4", tmp_path / "o").report
    assert report["setting"] == "inductive"
    assert report["shifts"]
    flat = shift(tmp_path / "dark", tmp_path / "light" / "cat", Words(), "Conv4", tmp_path / "p").report
    assert flat["setting"] == "transductive"
    with pytest.raises(MetatlError, match="holds photos and the target rows"):
        shift(tmp_path / "dark", table(tmp_path / "t.csv"), Words(), "Conv4", tmp_path / "q")
