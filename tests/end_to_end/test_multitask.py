"""`metatl multitask`: a table with two targets and gaps; photos; what cannot be is one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metatl.lab.cli import main
from metatl.multitasking.problem import read
from metatl.multitasking.rows import WAYS, chosen
from metatl.types import MetatlError


def write(folder: Path, rows: int = 120) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3))
    lines = ["a,b,c,kind,size,same"]
    for i, (a, b, c) in enumerate(x):
        kind = "xyz"[int(x[i].argmax())] if i % 5 else ""
        size = f"{100 * (a + b):.3f}" if i % 4 else ""
        lines.append(f"{a:.4f},{b:.4f},{c:.4f},{kind},{size},1")
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_two_targets_with_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write(tmp_path), tmp_path / "out"
    words = ["multitask", str(data), "--targets", "kind,size", "--methods", "hard-sharing,upgrad"]
    assert main([*words, "--seeds", "2", "--steps", "20", "--out", str(out)]) == 0
    found = json.loads((out / "report.json").read_text())
    assert found["protocol"]["targets"] == {"kind": "classes", "size": "real"}
    assert found["protocol"]["missing_targets"] == {"kind": 24, "size": 30}
    assert {row["target"] for row in found["rows"]} == {"kind", "size", "all targets"}
    keys = "method labelled draws score ci95 difference difference_ci95 p harmed moved seconds selected gain"
    assert all({*keys.split()} <= {*row} for row in found["rows"])
    by = {(row["method"], row["target"]): row for row in found["rows"]}
    single, shared = by["single-task", "size"], by["hard-sharing", "size"]
    assert (shared["gain"] > 0) == (shared["score"] < single["score"]), "of an error, lower is a gain"
    assert shared["difference"] == pytest.approx(shared["score"] - single["score"], rel=1e-4)
    assert "hard-sharing" in capsys.readouterr().out
    assert (out / "table.md").is_file()


def test_gaps_are_as_in_the_file(tmp_path: Path) -> None:
    problem = read(write(tmp_path), "kind,size")
    assert problem.has("kind").logical_not().nonzero().flatten().tolist() == list(range(0, 120, 5))
    assert problem.has("size").logical_not().nonzero().flatten().tolist() == list(range(0, 120, 4))
    train = np.arange(60)
    assert problem.inputs(train).shape == (120, 3)  # of the columns, `same` tells nothing


def test_ways() -> None:
    assert list(chosen("pcgrad")) == ["single-task", "pcgrad"]
    assert list(chosen("all")) == list(WAYS)
    assert all(len(way.runs(2)) == 3 for way in WAYS.values()), "every way has as many runs to choose from"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--targets", "kind,siz"], "nearest: size"),
        ([], "--targets"),
        (["--targets", "kind,kind"], "twice"),
        (["--targets", "same,kind"], "nothing to learn"),
        (["--targets", "kind", "--methods", "pcgrat"], "nearest: pcgrad"),
        (["--targets", "kind", "--seeds", "0"], "1 or more"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["multitask", str(write(tmp_path)), *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().split("\n")) == 1


def test_few_rows_and_folders_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match="20 or more"):
        read(write(tmp_path, 16), "size")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MetatlError, match="0 CSV files"):
        read(tmp_path / "empty", "size")
    write(tmp_path)
    with pytest.raises(MetatlError, match="no column names files"):
        read(tmp_path, "kind,size")
