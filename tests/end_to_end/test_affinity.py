"""`metatl affinity`: tasks by column, by target and by folder; resumed; and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from metatl.lab import store
from tests.commands import metatl, refused

FEW = ("--labelled", "2", "--draws", "3", "--estimates", "LogME,NearestNeighbour")


def table(path: Path, groups: int = 3, constant: bool = False) -> Path:
    rng = np.random.default_rng(0)
    rows = [["id", "a", "b", "c", "group", "y", "z", "w"]]
    for i in range(24 * groups):
        x = rng.normal(size=3)
        z = 1.0 if constant else x[0] - x[1]
        y = "yes" if x[0] > 0 else "no"
        rows.append([str(i), *(f"{v:.3f}" for v in x), f"g{i % groups}", y, f"{z:.3f}", f"{x[2] + x[0]:.3f}"])
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture(autouse=True)
def _small(own_cache: None, one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STEPS", 5), ("SOURCE_STEPS", 5), ("WIDTH", 4)):
        monkeypatch.setattr(f"metatl.affinity.matrix.{name}", value)


def test_values_of_a_column_are_tasks(tmp_path: Path) -> None:
    words = (table(tmp_path / "t.csv"), "--tasks", "group", "--target", "y", "--drop", "id,z,w", *FEW)
    found = metatl("affinity", *words, "--out", tmp_path / "o")
    assert found.code == 0, found
    assert "6 pairs of 3 tasks" in found.out
    report = store.read_json(tmp_path / "o" / "report.json")
    assert {(pair["source"], pair["target"]) for pair in report["pairs"]} == {
        (i, j) for i in ("g0", "g1", "g2") for j in ("g0", "g1", "g2") if i != j
    }
    assert {one["estimate"] for one in report["estimates"]} == {"LogME", "1-NN"}
    assert (tmp_path / "o" / "affinity.png").read_bytes().startswith(b"\x89PNG")
    table_before = (tmp_path / "o" / "table.md").read_text()
    lost = tmp_path / "o" / "cells" / "1-2.json"
    before = lost.read_bytes()
    lost.unlink()
    assert metatl("affinity", *words, "--out", tmp_path / "o").code == 0
    assert lost.read_bytes() == before
    assert (tmp_path / "o" / "table.md").read_text() == table_before
    assert "other tasks, labels or seed" in refused(
        "affinity", *words, "--seed", "1", "--out", tmp_path / "o"
    )


def test_a_column_that_tells_tasks_apart_plays_a_part(tmp_path: Path) -> None:
    """It is the same value in every row of a task, and was told as one that is left out."""
    path = table(tmp_path / "t.csv")
    lines = path.read_text().splitlines()
    place = [f"{line},{line.split(',')[4]}-height,5" for line in lines[1:]]
    path.write_text("\n".join([f"{lines[0]},place,same", *place]))
    words = (path, "--tasks", "group", "--target", "y", "--drop", "id,z,w", *FEW)
    found = metatl("affinity", *words, "--out", tmp_path / "o")
    assert "labelled: same (the same value in every row)\n" in found.out


def test_several_targets_are_tasks_on_the_same_rows(tmp_path: Path) -> None:
    words = (table(tmp_path / "t.csv"), "--target", "z,w", "--drop", "id,group,y", *FEW)
    found = metatl("affinity", *words, "--labelled", "10", "--out", tmp_path / "o")
    assert found.code == 0, found
    assert "All tasks have the same rows" in found.out
    report = store.read_json(tmp_path / "o" / "report.json")
    assert report["protocol"]["score"] == "MSE"
    assert {name: one["rows"] for name, one in report["scratch"].items()}["z"] == report["scratch"]["w"][
        "rows"
    ]


def test_files_in_a_folder_are_tasks(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for name in ("one", "two"):
        table(tmp_path / "all" / f"{name}.csv")
    words = (tmp_path / "all", "--target", "y", "--drop", "id,z,w,group", *FEW, "--out", tmp_path / "o")
    assert "2 pairs of 2 tasks" in metatl("affinity", *words).out


def test_what_is_refused(tmp_path: Path) -> None:
    file, out = table(tmp_path / "t.csv"), ("--out", tmp_path / "o")
    flat = table(tmp_path / "flat.csv", constant=True)
    assert "one task has nothing to help" in refused("affinity", file, "--target", "y", *out)
    assert "nothing to learn" in refused("affinity", flat, "--target", "z,w", "--drop", "id,group,y", *out)
    assert "named twice" in refused("affinity", file, "--target", "z,z", *out)
    assert "LogME" in refused("affinity", file, "--target", "z,w", "--estimates", "LogM", *out)
    many = ("--tasks", "group", "--target", "y", "--labelled", "50")
    assert "asks for 50" in refused("affinity", file, *many, *out)
    assert "classes" in refused("affinity", file, "--target", "y,w", "--drop", "id", *out)
    assert "minutes above 0" in refused("affinity", file, "--target", "z,w", "--minutes", "0", *out)
