"""`metatl multitask`: a table with two targets and gaps; photos; what cannot be is one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metatl.lab.cli import main
from metatl.multitasking.asked import chosen
from metatl.multitasking.fit import NetBudget
from metatl.multitasking.kept_fits import KeptFits
from metatl.multitasking.problem import read
from metatl.multitasking.rows import WAYS
from metatl.multitasking.study import run
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
    words = ["multitask", str(data), "--targets", "kind,size", "--methods", "upgrad"]
    assert main([*words, "--seeds", "2", "--steps", "5", "--out", str(out)]) == 0
    found = json.loads((out / "report.json").read_text())
    assert found["protocol"]["targets"] == {"kind": "classes", "size": "real"}
    assert found["protocol"]["missing_targets"] == {"kind": 24, "size": 30}
    assert {row["target"] for row in found["rows"]} == {"kind", "size", "all targets"}
    keys = "method labelled draws score ci95 difference difference_ci95 p harmed moved seconds selected gain"
    assert all({*keys.split()} <= {*row} for row in found["rows"])
    by = {(row["method"], row["target"]): row for row in found["rows"]}
    single, shared = by["single-task", "size"], by["upgrad", "size"]
    assert (shared["gain"] > 0) == (shared["score"] < single["score"]), "of an error, lower is a gain"
    assert shared["difference"] == pytest.approx(shared["score"] - single["score"], rel=1e-4)
    assert "upgrad" in capsys.readouterr().out
    assert (out / "table.md").is_file()
    assert (out / "plot.png").read_bytes()[:4] == b"\x89PNG"
    before = {file: file.stat().st_mtime_ns for file in (out / "cells").iterdir()}
    assert len(before) == 4
    assert main([*words, "--seeds", "3", "--steps", "5", "--out", str(out)]) == 0
    assert all(file.stat().st_mtime_ns == when for file, when in before.items()), "the same command goes on"
    assert main([*words, "--seeds", "2", "--steps", "6", "--out", str(out)]) == 2
    assert "other rows, targets or steps" in capsys.readouterr().err


def test_a_run_that_is_killed_loses_one_fit_at_most(tmp_path: Path) -> None:
    problem, ways, budget = read(write(tmp_path), "kind,size"), chosen("hard-sharing,mgda"), NetBudget(2)
    whole = run(problem, ways, 2, budget, 60)
    said: list[str] = []

    def dies(what: str) -> None:
        said.append(what)
        if len(said) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(problem, ways, 2, budget, 60, dies, KeptFits.resumed(tmp_path / "out", problem, budget))
    assert len([*(tmp_path / "out" / "cells").iterdir()]) == 4, "four were done when the fifth was broken off"
    again: list[str] = []
    kept = KeptFits.resumed(tmp_path / "out", problem, budget)
    found = run(problem, ways, 2, budget, 60, again.append, kept)
    assert again == [*said[4:], "mgda, draw 2 of 2"]
    assert {key: cell.scores for key, cell in found.items()} == {k: c.scores for k, c in whole.items()}
    other = {"single-task": replace(WAYS["single-task"], soft="distance")}
    assert kept.get("single-task", other["single-task"], 0) is None, "made otherwise, it is another way"
    (tmp_path / "out" / "cells" / "mgda~0.json").write_text("{}")
    with pytest.raises(MetatlError, match=r"mgda~0\.json is damaged"):
        kept.get("mgda", ways["mgda"], 0)


def test_fixed_weights_do_not_see_the_unit() -> None:
    way = WAYS["fixed-weights"]
    floors = ([1.5, 0.04], [1.5, 400.0])
    runs = [[*way.runs(2, 1, held), *way.further(2, 1e-3, held)] for held in floors]
    for small, large in zip(*runs, strict=True):
        one, two = (run[1].weights for run in (small, large))
        assert two[1] / two[0] == pytest.approx(1e-4 * one[1] / one[0]), "10^4 the variance, 10^-4 the weight"
    ratios = [round(run[1].weights[1] / run[1].weights[0] / 37.5, 6) for run in runs[0]]
    assert ratios == [1.0, 1.0, 1.0, 0.2, 5.0]


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
