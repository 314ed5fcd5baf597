"""Rows that read the labelled rows and fit nothing: without labels, with targets they are not for, TabPFN."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands import metatl, refused

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

STAND_IN = """
import numpy as np
class TabPFNClassifier:
    def fit(self, x, y):
        self.x, self.y, self.classes_ = x, y, np.unique(y)
        return self
    def predict_proba(self, x):
        near = np.exp(-((x[:, None] - self.x) ** 2).sum(-1)) + 1e-9
        votes = np.stack([near[:, self.y == one].sum(1) for one in self.classes_], 1)
        return votes / votes.sum(1, keepdims=True)
class TabPFNRegressor:
    def fit(self, x, y):
        self.x, self.y = x, y
        return self
    def predict(self, x):
        near = np.exp(-((x[:, None] - self.x) ** 2).sum(-1)) + 1e-9
        return near @ self.y / near.sum(1)
"""


def table(place: Path, target: str = "classes", columns: int = 2, rows: int = 60) -> Path:
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=(rows, columns))
    angle = np.arctan2(x[:, 0], x[:, -1])
    y = {
        "classes": np.array(["no", "yes"])[(np.cos(2 * angle) > 0).astype(int)],
        "many": np.array([f"k{i % 12}" for i in range(rows)]),
        "real": np.sin(2 * angle),
        "constant": np.full(rows, 3.5),
        "one": np.array(["only"] * rows),
    }[target]
    file = place / f"{target}.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [[*(f"c{i}" for i in range(columns)), "y"], *([*a, b] for a, b in zip(x, y, strict=True))]
        )
    return file


def words(file: Path, method: str, labelled: str, out: Path) -> list[str | Path]:
    asked: list[str | Path] = ["transfer", file, "--target", "y", "--methods", method]
    return [*asked, "--labelled", labelled, "--draws", "3", "--out", out]


def test_without_labels_each_class_is_alike_and_that_is_said(tmp_path: Path) -> None:
    said = metatl(*words(table(tmp_path), "in-context", "0,3", tmp_path / "o"))
    assert said.code == 0, said
    assert "in-context at 0 labels answers by its prior: each class alike" in str(said)
    rows = json.loads((tmp_path / "o" / "report.json").read_text())["rows"]
    (none,) = (row for row in rows if row["labelled"] == 0)
    assert none["also"]["log loss"] == pytest.approx(np.log(2), abs=1e-6)


def test_what_the_net_was_not_trained_for_is_one_line(tmp_path: Path) -> None:
    for target, columns, why in (
        ("real", 2, "trained for one class label a row"),
        ("many", 2, "trained for at most"),
        ("classes", 60, "columns at most"),
    ):
        line = refused(*words(table(tmp_path, target, columns), "in-context", "2", tmp_path / "o"))
        assert why in line, line


def test_tabpfn_says_what_to_install(tmp_path: Path) -> None:
    line = refused(*words(table(tmp_path), "tabpfn", "3", tmp_path / "o"))
    assert "pip install tabpfn" in line
    assert "TABPFN_MODEL_CACHE_DIR" in line
    told = metatl("methods")
    assert "tabpfn *" in told.out
    assert "Hollmann et al. 2025" in told.out


@pytest.mark.parametrize("target", ["classes", "real"])
def test_tabpfn_is_judged_saved_and_read(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of its interface in its place."""
    (tmp_path / "tabpfn.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "tabpfn", raising=False)
    file, out = table(tmp_path, target, rows=150), tmp_path / "o"
    said = metatl(*words(file, "tabpfn", "10,all" if target == "classes" else "30,all", out))
    assert said.code == 0, said
    assert "saved model: tabpfn" in str(said)  # the boundary is no line
    found = list(csv.DictReader(metatl("predict", out, file).out.splitlines()))
    true = list(csv.DictReader(file.read_text().splitlines()))
    if target == "classes":
        assert np.mean([a["label"] == b["y"] for a, b in zip(found, true, strict=True)]) > 0.9
    else:
        pairs = np.array([[float(a["y"]), float(b["y"])] for a, b in zip(found, true, strict=True)])
        assert np.corrcoef(pairs.T)[0, 1] > 0.7
    (tmp_path / "tabpfn.py").write_text("raise OSError('no weights here')")
    monkeypatch.delitem(__import__("sys").modules, "tabpfn", raising=False)
    assert "no weights here" in refused("predict", out, file)


def test_a_row_is_named_with_or_without_its_hyphen(tmp_path: Path) -> None:
    from metatl.transferring.rows import files, spelt

    assert all(spelt(name) == name for name in files()), "no two rows have the same letters"
    assert [spelt(word) for word in ("incontext", "L2_SP", "usual", "mine/in-context.yaml")] == [
        *("in-context", "l2-sp", "usual", "mine/in-context.yaml")
    ]
    given = words(table(tmp_path), "incontext,bayes", "3", tmp_path / "o")
    assert metatl(*given).code == 0
    rows = json.loads((tmp_path / "o" / "report.json").read_text())["rows"]
    assert {"in-context", "bayes"} <= {row["method"] for row in rows}
