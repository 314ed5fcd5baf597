"""Unsupervised transfer: clusters in what was carried over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.transferring.clusters import clustered
from metatl.types import MetatlError
from tests.commands import metatl, refused

pytest.importorskip("sklearn")


def table(path: Path, seed: int, labelled: bool = True) -> Path:
    """Two classes that one input tells apart, among six loud ones that mean nothing."""
    draw = np.random.default_rng(seed)
    y = np.arange(160) % 2
    x: Any = draw.normal(size=(160, 7))
    x[:, 0] += 6 * y
    names = [f"c{i}" for i in range(7)] + ["kind"] * labelled
    rows = [[*(f"{v:.4f}" for v in row), *(["ab"[one]] * labelled)] for row, one in zip(x, y, strict=True)]
    path.write_text("\n".join(",".join(row) for row in [names, *rows]))
    return path


@pytest.mark.slow
def test_clusters_in_what_a_source_taught(tmp_path: Path) -> None:
    source, target = table(tmp_path / "s.csv", 0), table(tmp_path / "t.csv", 1)
    words = "--source", source, "--target", "kind", "--cluster", "2"
    found = metatl("transfer", target, *words, "--out", tmp_path / "o")
    assert found.code == 0, found
    plain, carried = json.loads((tmp_path / "o" / "report.json").read_text())["features"]
    assert carried["rand"] > 0.9
    assert plain["features"] == "columns as they are"
    lines = (tmp_path / "o" / "clusters.csv").read_text().splitlines()
    assert lines[0] == "row,cluster"
    assert len(lines) == 161


def test_without_labels_the_clusters_are_the_same(tmp_path: Path) -> None:
    for name, labelled in (("t", True), ("bare", False)):
        place = table(tmp_path / f"{name}.csv", 1, labelled)
        found = metatl("transfer", place, "--target", "kind", "--cluster", "2", "--out", tmp_path / name)
        assert found.code == 0, found
    assert "no labels at hand" in found.out
    one, other = ((tmp_path / name / "clusters.csv").read_bytes() for name in ("t", "bare"))
    assert one == other


def test_labels_have_no_say_in_clusters() -> None:
    draw = np.random.default_rng(0)
    x = np.concatenate([draw.normal(size=(30, 3)), draw.normal(size=(30, 3)) + 5])
    true = ("a",) * 30 + ("b",) * 30
    one, other = clustered(x, 2, true, "x"), clustered(x, 2, true[::2] * 2, "x")
    assert (one.label == other.label).all()
    assert one.rand == 1
    assert clustered(x, 2, ("a", "b") * 30, "x").rand == pytest.approx(0, abs=0.05)
    assert clustered(x, 2, (), "x").rand is None
    with pytest.raises(MetatlError, match="give 2 to 60"):
        clustered(x, 61, (), "x")


def test_refusals_of_clusters_are_one_line(tmp_path: Path) -> None:
    target = table(tmp_path / "t.csv", 1)
    assert "--cluster is 1" in refused("transfer", target, "--target", "kind", "--cluster", "1")
