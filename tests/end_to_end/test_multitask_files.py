"""`metatl multitask` on several tables with a task each, and on columns that are no inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from metatl.lab.cli import main
from metatl.multitasking.problem import read
from metatl.types import MetatlError
from tests.commands import refused


def tables(folder: Path) -> list[str]:
    """Marks of two schools: in `north` a number, in `south` too, of other pupils, with a column more."""
    rng, places = np.random.default_rng(1), list[str]()
    for name, rows in (("north", 60), ("south", 40)):
        x = rng.normal(size=(rows, 2))
        lines = ["id,a,b,mark" + (",c" if name == "south" else "")]
        for i, (a, b) in enumerate(x):
            lines.append(f"{name}{i},{a:.4f},{b:.4f},{a - b:.4f}" + (",1.5" if name == "south" else ""))
        place = folder / f"{name}.csv"
        place.write_text("\n".join(lines) + "\n")
        places.append(str(place))
    return places


def test_each_file_is_a_task_of_its_own_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places, out = tables(tmp_path), tmp_path / "out"
    problem = read(places, "mark", drop=("id",))
    assert list(problem.targets) == ["north", "south"]
    assert problem.rows == 100
    assert torch.equal(problem.has("north"), torch.arange(100) < 60)
    assert torch.equal(problem.has("south"), torch.arange(100) >= 60)
    alone = read(places[0], "mark", drop=("id",))
    assert torch.equal(problem.y["north"][:60], alone.y["mark"])
    assert problem.inputs(np.arange(100)).shape == (100, 2)
    assert any("left out: c" in note for note in problem.notes)
    words = ["multitask", *places, "--targets", "mark", "--drop", "id", "--methods", "hard-sharing"]
    assert main([*words, "--seeds", "1", "--steps", "5", "--out", str(out)]) == 0
    found = json.loads((out / "report.json").read_text())
    assert found["protocol"]["missing_targets"] == {"north": 40, "south": 60}
    said = capsys.readouterr().out
    assert "columns that not all files have are left out: c" in said
    assert "columns that not all files have are left out: c" in (out / "table.md").read_text()


def test_a_score_on_rows_of_one_class_is_said_to_say_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i},{'yes' if i % 2 else 'no'},{'rare' if i == 7 else 'usual'}" for i in range(40)]
    place = tmp_path / "rows.csv"
    place.write_text("\n".join(["a,often,seldom", *rows]) + "\n")
    words = [
        "multitask",
        str(place),
        "--targets",
        "often,seldom",
        "--methods",
        "hard-sharing",
        "--steps",
        "5",
    ]
    assert main([*words, "--seeds", "1", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "seldom: in 1 of 1 draws all rows that judge are of one class" in said
    assert "often: in" not in said


def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    places = tables(tmp_path)
    with pytest.raises(MetatlError, match="2 files and 3 targets"):
        read(places, "a,b,mark")
    with pytest.raises(MetatlError, match="called as their files are"):
        read([places[0], places[0]], "mark")
    with pytest.raises(MetatlError, match="is a folder"):
        read([*places, tmp_path], "mark")
    assert "has no column 'marks'" in refused("multitask", *places, "--targets", "marks")
    assert "no such file" in refused("multitask", places[0], "nowhere.csv", "--targets", "mark")
    assert "has no column 'ids'" in refused("multitask", places[0], "--targets", "mark", "--drop", "ids")
