"""`metatl multitask` on photos that a table names, on sentences, and by quantiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl.data.targets import Targets
from metatl.lab.cli import main
from metatl.multitasking import problem as problem_module
from metatl.multitasking.judging import DrawnRows, Judging
from metatl.multitasking.problem import Several
from tests import tiny_texts
from tests.end_to_end.test_multitask import write


def through(data: Path, targets: str, *more: str) -> dict[str, Any]:
    """The command, with a way beside single nets, on one draw."""
    out = data.parent / "out"
    words = ["--methods", "hard-sharing", "--seeds", "1", "--steps", "15", "--out", str(out)]
    assert main(["multitask", str(data), "--targets", targets, *more, *words]) == 0
    return dict(json.loads((out / "report.json").read_text()))


def test_photos_that_a_table_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Squares by colour and by where they lie, one photo in three without the second."""
    monkeypatch.setenv("METATL_CACHE", str(tmp_path / "cache"))
    rng, lines = np.random.default_rng(0), ["file,colour,left"]
    for i in range(40):
        pixels, name = rng.integers(0, 60, (24, 24, 3)), ("red", "blue")[i % 2]
        left = int(rng.integers(0, 12))
        pixels[..., 0 if name == "red" else 2] = 230
        pixels[6:18, left : left + 12] = 255
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{name},{'' if i % 3 == 0 else left}")
    (tmp_path / "photos.csv").write_text("\n".join(lines) + "\n")
    found = through(tmp_path, "colour,left")
    assert found["protocol"]["unit"] == "photo"
    assert found["protocol"]["missing_targets"] == {"colour": 0, "left": 14}
    scores = {row["method"]: row["score"] for row in found["rows"] if row["target"] == "colour"}
    assert scores["hard-sharing"] > 60, scores


def test_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is spoken of, and how often it is said; features are those of a language model as it is drawn."""
    monkeypatch.setenv("METATL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(problem_module.USUAL, "sentence", f"hf:{tiny_texts.folder(tmp_path / 'net')}")
    rng, lines = np.random.default_rng(0), ["what,topic,times"]
    for i in range(40):
        words = ("money pay cash bill", "rain snow sun cold")[i % 2].split()
        times = int(rng.integers(1, 5))
        lines.append(
            f"{' '.join(rng.choice(words, times))} to my,{'bank' if i % 2 == 0 else 'sky'},{times + 0.5}"
        )
    data = tmp_path / "said.csv"
    data.write_text("\n".join(lines) + "\n")
    found = through(data, "topic,times", "--text", "what")
    assert found["protocol"]["unit"] == "sentence"
    scores = {row["method"]: row["score"] for row in found["rows"] if row["target"] == "topic"}
    assert scores["hard-sharing"] > 60


def test_quantiles_say_how_many_rows_they_hold(tmp_path: Path) -> None:
    found = through(write(tmp_path), "kind,size", "--quantiles")
    by = {(row["method"], row["target"]): row for row in found["rows"]}
    row = by["hard-sharing", "size"]
    assert row["unit"] == "pinball"
    assert row["nominal"] == 90
    assert 0 <= row["coverage"] <= 100
    assert row["width"] > 0
    assert "coverage" not in by["hard-sharing", "kind"]
    assert "coverage % of 90 | width" in (tmp_path / "out" / "table.md").read_text()


def test_coverage_of_known_quantiles() -> None:
    """Values 0 to 99 beside the same quantiles everywhere: 5, 50 and 95 hold what they should."""
    y = torch.arange(100, dtype=torch.float32).unsqueeze(1)
    targets = {"y": Targets("real", ("y",), y)}
    problem = Several("toy", "row", lambda train: y, targets, {"y": y})
    draw = DrawnRows(y, {"y": y / 10 - 2}, {"test": np.arange(100)}, {"y": (20.0, 10.0)})
    wanted = (torch.tensor([4.5, 49.5, 94.5]) - 20) / 10  # in the draw's unit
    steps = (wanted[1:] - wanted[:-1]).expm1().log()  # what softplus makes of it
    output = torch.cat([wanted[:1], steps]).repeat(100, 1)
    judging = Judging(problem, draw, (0.05, 0.5, 0.95))
    told = judging.also("y", output)
    assert told["coverage"] == pytest.approx(90.0)
    assert told["nominal"] == pytest.approx(90.0)
    assert told["width"] == pytest.approx(90.0, rel=1e-5)
    assert told["off level"] == pytest.approx(0.0, abs=1e-6)
    off = np.arange(100.0)[:, None] - np.array([4.5, 49.5, 94.5])
    tau = np.array([0.05, 0.5, 0.95])
    assert judging.score("y", output, "test") == pytest.approx(
        np.maximum(tau * off, (tau - 1) * off).mean(), rel=1e-5
    )
    assert Judging(problem, draw).also("y", output[:, :1]) == {}
