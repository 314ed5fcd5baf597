"""`metatl transfer --sweep layers`: what is transferred, block by block."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metatl.transferring import sweep
from metatl.transferring import transfer as transferring
from metatl.transferring.backbone import backbone, no_net
from metatl.types import MetatlError
from tests.commands import metatl, refused
from tests.photos import drawn

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


@pytest.fixture(autouse=True)
def _unvalidated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transferring, "VALIDATING", 0.0)


def test_curves_over_blocks_with_intervals_and_a_picture(tmp_path: Path) -> None:
    words = ("--net", "CNN", "--size", "16", "--labelled", "1", "--draws", "3", "--sweep", "layers")
    found = metatl("transfer", drawn(tmp_path / "squares"), *words, "--out", tmp_path / "out")
    assert found.code == 0, found
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    curves = sweep.points(report)
    assert {name: list(curve) for name, curve in curves.items()} == {"taken": [1], "frozen": [1]}
    for curve in curves.values():
        assert [k for k, _ in curve[1]] == [0, 1, 2, 3]
        assert all(row["ci95"] is not None and row["draws"] == 3 for _, row in curve[1])
    assert (tmp_path / "out" / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert "sweep.png" in found.out
    report["protocol"]["net"] = f"my_package.my_module.{'Net' * 40}@weights.pt"
    figure = sweep.picture(report)
    edge = figure.bbox.width
    assert len(figure.texts) == 3
    assert all(one.get_window_extent().x1 < edge for one in figure.texts)
    assert (tmp_path / "out" / "report.html").read_text().count("keep their pre-trained weights") >= 1


def test_rows_of_a_sweep() -> None:
    net = backbone("Conv4", 20)
    found = sweep.swept(net)
    assert list(found) == [f"{curve}-{k}" for curve in ("taken", "frozen") for k in range(5)]
    assert [row.taken for row in found.values()] == [0.0, 0.25, 0.5, 0.75, 1.0, *[1.0] * 5]
    assert [row.guide.blocks for row in list(found.values())[5:]] == [4, 3, 2, 1, 0]  # type: ignore[union-attr]
    assert len({row.order for row in found.values()}) == 10
    with pytest.raises(MetatlError, match="needs a net"):
        sweep.swept(replace(no_net()))
    refused(metatl("transfer", "nowhere", "--sweep", "depth"), "invalid choice: 'depth'")


def test_the_model_of_a_row_of_a_sweep_is_kept_as_asked(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "squares")
    words = ("--net", "CNN", "--size", "16", "--labelled", "1", "--draws", "2", "--sweep", "layers")
    found = metatl("transfer", folder, *words, "--save", "taken-1", "--out", tmp_path / "out")
    assert found.code == 0, found
    assert "saved model: taken-1, as asked" in found.out
    assert metatl("predict", tmp_path / "out", folder, "--out", tmp_path / "said.csv").code == 0
    said = "save: 'taken-11' is none of the rows that --methods names or the sweep has; nearest: taken-1"
    refused(metatl("transfer", folder, *words, "--save", "taken-11", "--out", tmp_path / "other"), said)
