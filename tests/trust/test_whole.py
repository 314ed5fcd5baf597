"""A finished run is whole: moved away, with all that it was made from deleted, it is used in every way."""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metatl
from metatl.lab import store
from metatl.pretrained import pretrained
from metatl.types import MetatlError
from tests import commands
from tests.commands import only, refused, small_cache, written
from tests.photos import drawn

NETS = """import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, shape: tuple[int, ...], outputs: int, weights: str, width: int = 6):
        body = nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], width), nn.ReLU()
        super().__init__(*body, nn.Linear(width, outputs))
        self.gain = float(torch.load(weights))

    def forward(self, x):
        return super().forward(self.gain * x)
"""
HEADS = """from metatl.heads import Zeros


class Mine(Zeros):
    'Zeros, by another name.'
"""
CONFIG: dict[str, Any] = {
    "data": {"class_path": "Arrays", "init_args": {"path": "data/pictures.npz"}},
    "model": {"class_path": "whole_nets.Net", "init_args": {"weights": "gain.pt"}},
    "learner": {"class_path": "Supervised", "init_args": {"steps": 3, "batch_size": 4}},
    "adaptation": {"head": {"class_path": "whole_heads.Mine"}, "steps": 1},
    "evaluation": {"tasks": {"way": 2, "shot": 1, "query": 2}, "episodes": 4, "select_episodes": 2},
    "select": {"rule.lr": [0.1, 0.2]},
}


def forget_modules(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with a run on a start through LoRA, its class, data, weights file; and what it printed."""
    folder = tmp_path_factory.mktemp("origin")
    with pytest.MonkeyPatch.context() as patch:
        small_cache(patch, tmp_path_factory.mktemp("cache"))
        patch.syspath_prepend(folder)
        (folder / "whole_nets.py").write_text(NETS)
        (folder / "whole_heads.py").write_text(HEADS)
        torch.save(torch.tensor(2.0), folder / "gain.pt")
        (folder / "data").mkdir()
        x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
        np.savez(folder / "data" / "pictures.npz", x=x, y=np.repeat(np.arange(12), 5))
        lora = {"transforms": [{"class_path": "LoRA", "init_args": {"r": 2}}]}
        written(folder, {"name": "start", **CONFIG, **lora}, "start.yaml")
        path = written(folder, {"name": "mine", **CONFIG, "start": "start.yaml"}, "mine.yaml")
        with contextlib.chdir(folder):
            said = commands.metatl("run", path)
        assert said.code == 0, said
        yield folder, said.out
        forget_modules(folder)


@pytest.fixture
def moved(origin: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The run directory alone in another folder, beside data and the user's modules; all else has gone."""
    folder, _ = origin
    place = tmp_path / "elsewhere"
    place.mkdir()
    (run,) = (folder / "runs" / "mine").iterdir()
    shutil.copytree(run, place / "renamed")
    shutil.copytree(folder / "data", place / "data")
    for name in ("whole_nets.py", "whole_heads.py"):
        shutil.copy(folder / name, place / name)
    gone = folder.with_name("gone")
    folder.rename(gone)
    forget_modules(folder)
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*(path for path in sys.path if path != str(folder)), str(place)])
    yield place / "renamed"
    forget_modules(place)
    gone.rename(folder)


def test_it_is_evaluated(moved: Path, origin: tuple[Path, str]) -> None:
    first = origin[1].splitlines()[0]
    found = commands.metatl("evaluate", "--trust", moved)
    assert (found.code, found.out.splitlines()[0], found.lines) == (0, first, [])
    assert not (moved / "evaluations").exists(), "it is the report that it had"
    for words in (
        ["--evaluation.episodes", 5],
        ["--adaptation.steps", 2],
        ["--engine", "Loop", "--select", "null"],
    ):
        found = commands.metatl("evaluate", "--trust", moved, *words)
        assert found.code == 0, found
    (moved / "report.json").unlink()
    found = commands.metatl("evaluate", "--trust", moved)
    assert (found.code, found.out.splitlines()[0]) == (0, first), "evaluated anew, the same"
    x = np.random.default_rng(1).integers(0, 256, (20, 8, 8), np.uint8)
    np.savez("other.npz", x=x, y=np.repeat(np.arange(4), 5))
    words = ["--data.init_args.path", "other.npz", "--data.init_args.fractions", "[0, 0, 1]"]
    assert "meta_test of other" in commands.metatl("evaluate", "--trust", moved, *words).out
    assert (
        commands.metatl("compare", moved / "evaluations" / next((moved / "evaluations").iterdir()).name).code
        == 0
    )


def test_it_is_loaded_and_personalised(moved: Path, tmp_path: Path) -> None:
    model = metatl.load(moved, trust=True)
    chosen = store.load_report(moved).facts["selected"]["rule.lr"]
    assert model.adaptation.rule.lr == chosen  # type: ignore[attr-defined]
    x, y = torch.rand(4, 1, 8, 8), ["a", "b", "a", "b"]
    mine = model.adapt(x, y)
    mine.save_delta(tmp_path / "a.delta")
    again = metatl.apply_delta(moved, tmp_path / "a.delta")
    assert again.predict(x) == mine.predict(x)
    assert torch.equal(again.outputs(x), mine.outputs(x))
    assert any("lora" in name or ".down" in name or "." in name for name in model.transfer.params)


def test_it_is_a_net_for_photos_and_what_that_gives_is_whole_too(moved: Path, tmp_path: Path) -> None:
    """A start's LoRA has weights of its own, which no plain net has; a run without one is such a net."""
    with pytest.raises(MetatlError, match="does not fit"):
        pretrained(f"whole_nets.Net@{moved}")


def test_its_start_is_a_net_for_photos(
    origin: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = origin
    written(folder, {"name": "plain", **CONFIG}, "plain.yaml")
    monkeypatch.chdir(folder)
    forget_modules(folder)
    assert commands.metatl("run", "plain.yaml").code == 0
    place = tmp_path / "elsewhere"
    shutil.copytree(next((folder / "runs" / "plain").iterdir()), place / "run")
    (place / "whole_nets.py").write_text(NETS)
    photos = drawn(place / "photos", {"": 6}, classes=3, size=12)
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*(path for path in sys.path if path != str(folder)), str(place)])
    forget_modules(folder)
    words = ["--labelled", "1", "--draws", 2, "--methods", "nearest-centroid", "--out", "out"]
    found = commands.metatl("transfer", photos, "--net", "whole_nets.Net@run", *words)
    assert found.code == 0, found
    shutil.rmtree(place / "run")
    (model,) = (file.parent for file in (place / "out").rglob("model.json"))
    shutil.move(model, place / "kept")
    shutil.rmtree(place / "out")
    forget_modules(place)
    found = commands.metatl("predict", place / "kept", photos, "--own", "whole_nets.Net")
    assert found.code == 0, found
    forget_modules(place)


def test_data_may_lie_elsewhere_and_are_known_by_their_content(moved: Path) -> None:
    shutil.move("data", "archive")
    text = (moved / "config.yaml").read_text()
    (moved / "config.yaml").write_text(text.replace("data/pictures.npz", "archive/pictures.npz"))
    assert commands.metatl("evaluate", "--trust", moved, "--evaluation.episodes", 3).code == 0
    x = np.random.default_rng(1).integers(0, 256, (60, 8, 8), np.uint8)
    np.savez("archive/pictures.npz", x=x, y=np.repeat(np.arange(12), 5))
    assert refused("evaluate", "--trust", moved)


def test_what_it_needs_is_still_checked(moved: Path) -> None:
    with open("whole_nets.py", "a") as file:
        file.write("# edited\n")
    assert "learned before whole_nets changed" in refused("evaluate", "--trust", moved)
    Path("whole_nets.py").write_text(NETS)
    torch.save(torch.tensor(3.0), "gain.pt")
    assert "learned before gain.pt changed" in refused("evaluate", "--trust", moved)
    Path("gain.pt").unlink()
    assert commands.metatl("evaluate", "--trust", moved).code == 0


def test_a_word_that_was_the_name_of_a_file_by_chance_needs_none(
    origin: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`schedule: cosine` beside a folder of that name: values of our own classes are no paths."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(origin[0] / "data", "data")
    for name in ("cosine", "mean"):
        Path(name).mkdir()
        (Path(name) / "a.txt").write_text("a")
    learner = {"class_path": "Supervised", "init_args": {"steps": 3, "schedule": "cosine"}}
    plain = {"name": "plain", **CONFIG, "model": "MLP", "adaptation": {"head": "Zeros"}, "learner": learner}
    assert commands.metatl("run", written(tmp_path, plain)).code == 0
    run = only(tmp_path / "runs")
    assert not (run / "files").exists()
    shutil.rmtree("cosine")
    assert commands.metatl("evaluate", "--trust", run).code == 0


def test_kept_files_outside_of_the_run_are_refused(moved: Path) -> None:
    told = json.loads((moved / "learned.json").read_text())
    assert list(told["kept"]) == ["gain.pt"]
    torch.save(torch.tensor(1.0), moved.parent / "their.pt")
    for place in ("../their.pt", str(moved.parent / "their.pt"), "files/../../their.pt"):
        (moved / "learned.json").write_text(json.dumps(told | {"kept": {"gain.pt": place}}))
        assert "keeps a file outside of itself" in refused("evaluate", "--trust", moved)


def test_an_unfinished_run_needs_what_it_began_with(moved: Path) -> None:
    (moved / "transfer.safetensors").unlink()
    assert "start.yaml is not there" in refused("evaluate", "--trust", moved)
    assert only(moved.parent) == moved
