"""The curve over the blocks that targets share: a row and a point for each number of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metatl.lab import store
from tests.commands import metatl


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 90))
    lines = [f"{x:.3f},{y:.3f},{'red' if x > y else 'blue'},{x + y:.3f}" for x, y in zip(a, b, strict=True)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["a,b,kind,size", *lines]) + "\n")
    return path


def test_every_number_of_shared_blocks_has_a_point(rows: Path, tmp_path: Path) -> None:
    words = ["--targets", "kind,size", "--sweep", "shared", "--hidden", "6,5", "--steps", "4", "--seeds", "2"]
    found = metatl("multitask", rows, *words, "--out", tmp_path / "out")
    assert found.code == 0, found
    report = store.read_json(tmp_path / "out" / "report.json")
    ways = ["single-task", "shared-0", "shared-1", "shared-2"]
    assert [row["method"] for row in report["rows"] if row["target"] == "kind"] == ways
    assert report["protocol"]["budget"]["hidden"] == [6, 5]
    assert all(row["p"] is None for row in report["rows"]), "two draws have neither interval nor p"
    assert (tmp_path / "out" / "sweep.png").stat().st_size > 10_000
    more = metatl("multitask", rows, *words, "--methods", "coupled,task-masks", "--out", tmp_path / "out")
    assert more.code == 0, more
    assert "task-masks" in (tmp_path / "out" / "table.md").read_text()
    assert "shared-2" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize(
    ("given", "said"), [("3,x", "give the units"), ("0", "give the units"), ("", "give")]
)
def test_blocks_that_are_none(given: str, said: str, rows: Path) -> None:
    found = metatl("multitask", rows, "--targets", "kind,size", "--hidden", given)
    assert found.code == 2
    assert said in " ".join(found.lines)
