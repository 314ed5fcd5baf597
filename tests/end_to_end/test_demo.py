"""The second job of `make demo`, at a small size: a finished run as the net, on photos that it never saw."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import metatl as package
from metatl.data import Glyphs
from metatl.transferring import transfer as transferring
from tests.commands import metatl, refused, small_cache
from tests.conftest import ROOT

SMALL = ("--data.train_classes", "9", "--data.val_classes", "5", "--data.test_classes", "5")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that the script wrote into."""
    here, threads = tmp_path_factory.mktemp("demo"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        small_cache(patch, here / "cache")
        patch.setattr(transferring, "VALIDATING", 0.0)
        (here / "configs").mkdir()
        grid = (ROOT / "configs" / "demo.yaml").read_text()
        (here / "configs" / "demo.yaml").write_text(
            grid.replace("steps: 500, batch_size: 128", "steps: 3, batch_size: 8")
        )
        patch.chdir(here)
        patch.syspath_prepend(ROOT / "scripts")
        script = runpy.run_path(str(ROOT / "scripts" / "demo_transfer.py"))
        script["main"].__globals__["ASKED"] = ("--labelled", "1,all", "--draws", "1", "--methods", "ridge")
        for _ in range(2):  # the second time it finds the first
            script["main"](["--out", "out", "--minutes", "0.2", *SMALL])
        yield here
    torch.set_num_threads(threads)


def test_its_photos_are_characters_that_its_nets_never_saw(demo: Path) -> None:
    photos = demo / "out" / "characters"
    data = Glyphs()  # as configs/demo.yaml has it
    assert (data.test_classes, data.examples) == (300, 20)
    rows = Glyphs(train_classes=1, val_classes=1, test_classes=10).load().banks["meta_test"].x
    files = sorted(photos.rglob("*.png"))
    assert len(files) == 2 * 10 * 20
    learned = [np.asarray(Image.open(file)) for file in files if "train" in file.parts]
    assert np.array_equal(255 - np.stack(learned), rows[:, 0].numpy())
    assert len({file.read_bytes() for file in files}) == len(files)


def test_its_net_is_the_pre_trained_one_of_the_table(demo: Path) -> None:
    told = json.loads((demo / "out/transfer/report.json").read_text())["protocol"]
    assert told["net"].startswith("runs/pretrain/")
    assert (demo / told["net"] / "transfer.safetensors").is_file()
    assert told["weights"].startswith("26 of 26 tensors from the run")
    assert told["preparation"]["size"] == 28
    assert (told["labelled_rows"], told["judging_rows"]) == (200, 200)
    assert "Weights: 26 of 26" in (demo / "out/transfer/table.md").read_text()


def test_its_model_opens_in_a_fresh_process_without_the_run(demo: Path, tmp_path: Path) -> None:
    model = shutil.copytree(demo / "out" / "transfer" / "model", tmp_path / "model")
    words = [sys.executable, "-m", "metatl.lab.cli", "predict", str(model), str(demo / "out/characters/test")]
    root = Path(package.__file__).parents[1]
    (demo / "runs").rename(demo / "gone")
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=root).stdout
    (demo / "gone").rename(demo / "runs")
    rows = list(csv.DictReader(said.splitlines()))
    right = np.mean([row["label"] == Path(row["file"]).parent.name for row in rows])
    report = json.loads((demo / "out/transfer/report.json").read_text())
    saved = report["protocol"]["saved"]["method"]
    (score,) = [row["score"] for row in report["rows"] if (row["method"], row["labelled"]) == (saved, "all")]
    assert (len(rows), 100 * right) == (200, pytest.approx(score, abs=0.01))


def test_a_run_is_a_net_in_python_too(demo: Path, tmp_path: Path) -> None:
    (run,) = (demo / "runs" / "pretrain").iterdir()
    files = sorted((demo / "out/characters/train").rglob("*.png"))
    made = package.Classifier(net=run, method="nearest-centroid")
    made.fit(files, [file.parent.name for file in files]).save(tmp_path / "m")
    again = package.Classifier.load(tmp_path / "m")
    assert np.array_equal(again.predict_proba(files[:5]), made.predict_proba(files[:5]))


def test_a_row_that_a_small_net_leaves_nothing_for_is_named(demo: Path, tmp_path: Path) -> None:
    (run,) = (demo / "runs" / "pretrain").iterdir()
    words = ("transfer", demo / "out/characters", "--net", run, "--labelled", "1", "--draws", "1")
    assert "method 'fish' has nothing to act on in this net (TopK" in refused(
        *words, "--methods", "fish", "--out", tmp_path / "o"
    )
    assert metatl(*words, "--minutes", "0.001", "--out", tmp_path / "o").code == 0
    table = (tmp_path / "o" / "table.md").read_text()
    assert "fish is left out: it has nothing to act on in this net (TopK" in table
    assert "fish at" not in table
