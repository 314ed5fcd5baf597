"""Values with intervals, the rows to look at, the rows to label next: from the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from metatl import Regressor
from tests.commands import Said, metatl, refused

pytest.importorskip("sklearn")


def written(place: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with place.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return place


def done(*words: str | Path) -> Said:
    found = metatl(*words)
    assert found.code == 0, found
    return found


def told(*words: str | Path) -> list[dict[str, str]]:
    return list(csv.DictReader(done(*words).out.splitlines()))


def test_values_have_intervals_that_cover_and_doubts(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=(300, 3))
    y = 5 + x @ [2.0, -1.0, 0.5] + 0.7 * drawn.normal(size=300)
    x[-1] *= 30  # far from everything that was seen
    file = written(tmp_path / "t.csv", ["a", "b", "c", "y"], np.column_stack([x, y])[:60].tolist())
    out, new = tmp_path / "o", written(tmp_path / "n.csv", ["a", "b", "c"], x[60:].tolist())
    metatl(
        "transfer",
        file,
        "--target",
        "y",
        "--methods",
        "bayes",
        "--labelled",
        "40",
        "--draws",
        "3",
        "--out",
        out,
    )
    found = told("predict", out, new)
    low, high = (np.array([float(row[f"y_{end}"]) for row in found[:-1]]) for end in ("low", "high"))
    assert 0.9 <= np.mean((low <= y[60:-1]) & (y[60:-1] <= high)) <= 0.99
    rows = json.loads((out / "report.json").read_text())["rows"]
    (own,) = (row["also"] for row in rows if row["method"] == "bayes")
    assert 0.8 <= own["coverage"] <= 1
    told_of = (out / "table.md").read_text()
    assert f"| bayes | {100 * own['coverage']:.1f} ({own['interval score']:.4g}) |" in told_of
    some = told("predict", out, new, "--unsure", "0.1")
    assert len(some) == 24
    assert some[0] == found[-1]
    assert told("next", out, new, "-n", "1") == some[:1]
    assert "share of rows to look at" in refused("predict", out, new, "--unsure", "2")
    assert "1 or more" in refused("next", out, new, "-n", "0")
    metatl(
        "transfer",
        file,
        "--target",
        "y",
        "--methods",
        "ridge",
        "--labelled",
        "40",
        "--draws",
        "3",
        "--out",
        tmp_path / "r",
    )
    assert "how far they may be off" in refused("next", tmp_path / "r", new)


def test_laplace_is_kept_where_it_is_asked_for_and_python_says_the_same_intervals(tmp_path: Path) -> None:
    drawn = np.random.default_rng(2)
    x = drawn.normal(size=(300, 3))
    y = 100 + x @ [20.0, -10.0, 5.0] + 7 * drawn.normal(size=300)
    rows = np.column_stack([x, y])[:60].tolist()
    file, new = written(tmp_path / "t.csv", ["a", "b", "c", "y"], rows), tmp_path / "n.csv"
    written(new, ["a", "b", "c"], x[60:].tolist())
    words = ("--target", "y", "--methods", "laplace,bayes", "--labelled", "40", "--draws", "2")
    done("transfer", file, *words, "--save", "laplace", "--out", tmp_path / "o")
    assert "| laplace |" in (tmp_path / "o" / "table.md").read_text().split("Coverage")[1]
    found = told("predict", tmp_path / "o", new)
    low, high = (np.array([float(row[f"y_{end}"]) for row in found]) for end in ("low", "high"))
    assert 0.9 <= np.mean((low <= y[60:]) & (y[60:] <= high)) <= 0.99
    loaded = Regressor.load(tmp_path / "o" / "model")
    ends = loaded.predict_interval(x[60:])
    np.testing.assert_allclose(ends, [low, high], rtol=1e-4)
    assert loaded.coverage(x[60:], y[60:]) == pytest.approx(np.mean((low <= y[60:]) & (y[60:] <= high)))
    assert "none of the rows" in refused("transfer", file, *words, "--save", "ridge", "--out", tmp_path / "p")


def test_classes_are_looked_at_where_they_meet(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1)
    y = np.arange(80) % 2
    x = np.column_stack([3.0 * (2 * y - 1) + drawn.normal(size=80), drawn.normal(size=80)])
    rows = [[*line, "yes" if label else "no"] for line, label in zip(x.tolist(), y, strict=True)]
    file = written(tmp_path / "t.csv", ["a", "b", "y"], rows)
    for method in ("bayes", "gaussian-process", "laplace"):
        out = tmp_path / method
        metatl(
            "transfer",
            file,
            "--target",
            "y",
            "--methods",
            method,
            "--labelled",
            "10",
            "--draws",
            "3",
            "--out",
            out,
        )
        new = written(tmp_path / "n.csv", ["a", "b"], [[-3, 0], [0.05, 0], [3, 0], [2.5, 0.3]])
        assert [row["label"] for row in told("predict", out, new)][::2] == ["no", "yes"]
        (first,) = told("next", out, new, "-n", "1")
        assert first == told("predict", out, new)[1]
