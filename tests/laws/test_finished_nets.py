"""A finished run directory as a pre-trained net: its function, its pictures, and nothing that it runs."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metatl import load
from metatl.data import Arrays, Glyphs, ImageFolder, Sinusoid
from metatl.data.images import as_seen
from metatl.data.source import Source
from metatl.lab import store
from metatl.norm import Rows, moments_from
from metatl.pretrained import Preparation, pretrained, rebuild
from metatl.transferring.backbone import backbone
from metatl.types import MetatlError
from tests.commands import config_of, metatl, only, small_cache, written
from tests.photos import drawn

OWN = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, shape, outputs, width=4):
        body = nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], width), nn.BatchNorm1d(width)
        super().__init__(*body, nn.ReLU(), nn.Linear(width, outputs))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        small_cache(patch, folder)
        (folder / "own_net_of_a_run.py").write_text(OWN)
        patch.syspath_prepend(folder)
        yield folder


def learned(home: Path, name: str, **values: Any) -> Path:
    """The run directory of a small experiment, learned once."""
    runs = home / "runs" / f"{name}-{zlib.crc32(str(values).encode())}"
    if not runs.is_dir():
        config = config_of(name, steps=2) | values
        assert metatl("run", written(runs, config, "c"), "--runs", runs, "--learn-only").code == 0
    return only(runs)


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Path:
    """A copy of a run of Supervised on glyphs, to be harmed."""
    return shutil.copytree(learned(home, "supervised"), tmp_path / "run")


def refused(name: str | Path, size: int | None = None) -> str:
    with pytest.raises(MetatlError) as caught:
        pretrained(str(name), size)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 700
    return said


def edited(run: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    told = json.loads((run / "learned.json").read_text())
    change(told)
    (run / "learned.json").write_text(json.dumps(told))
    return run


# ---- the function


@pytest.mark.parametrize("name", ["supervised", "maml++", "protonet"])
def test_its_outputs_are_those_of_the_learned_net(name: str, home: Path) -> None:
    """Source-wide and episode-wide output layers; moments as learned, or of the start."""
    run = learned(home, name)
    made, kept = pretrained(str(run)), load(run)
    x = torch.rand(3, 1, 16, 16)
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        theirs = kept.net(kept.transfer.params, kept.transfer.buffers, x)
        assert torch.equal(made.module(x), theirs)
    assert theirs.shape[1] == (6 if name == "supervised" else 3)
    assert (made.head, made.module.training) == ("head", False)
    again = rebuild(json.loads(json.dumps(dict(made.recipe))))
    again.load_state_dict(made.module.state_dict())
    assert ("took no running moments" in made.report) == (name != "supervised")


def test_weights_size_and_arguments_are_in_the_key(home: Path) -> None:
    """Kept features and cells belong to one net at one size."""
    one, other = learned(home, "supervised"), learned(home, "supervised", seed=1)
    keys = {backbone(run, size).key for run in (one, other) for size in (None, 16, 24)}
    assert len(keys) == 4
    assert pretrained(str(one)).weights_sha256 != pretrained(str(other)).weights_sha256


# ---- pictures


@pytest.mark.parametrize("grey", [True, False])
def test_photos_are_prepared_as_an_image_folder_prepares_them(grey: bool, home: Path, tmp_path: Path) -> None:
    folder = drawn(tmp_path / "p", {"": 6}, classes=3, size=23)
    odd = np.random.default_rng(1).integers(0, 256, (31, 18, 4)).astype(np.uint8)
    Image.fromarray(odd).save(folder / "blue" / "05.png")  # neither square nor opaque
    source = ImageFolder(str(folder), size=16, grey=grey, fractions=(1.0, 0.0, 0.0))
    bank = source.load().banks["meta_train"]
    told = source.load().pixels()
    assert told == (1 / 255, 0.0)
    made = Preparation(16, (0.0,) * (1 if grey else 3), (1.0,) * (1 if grey else 3), "area",
                       channels=1 if grey else 3)  # fmt: skip
    files = sorted(folder.rglob("*.png"))
    mine = torch.stack([made(as_seen(file, str(file))) for file in files])
    torch.testing.assert_close(mine, bank.gather(torch.arange(len(files))), rtol=0, atol=1e-6)


def test_a_drawing_on_paper_is_the_glyph(home: Path) -> None:
    """Glyphs are ink 1 on paper 0; a photo of one is dark on light."""
    run = learned(home, "supervised")
    drawing = Glyphs(train_classes=6, val_classes=5, test_classes=5, examples=6, size=16).load()
    rows = drawing.banks["meta_train"].x
    made = pretrained(str(run)).preparation
    mine = torch.stack([made(Image.fromarray(255 - row[0].numpy())) for row in rows])
    torch.testing.assert_close(mine, rows / 255, rtol=0, atol=1e-6)
    assert (made.size, made.channels) == (16, 1)
    assert made.resized(20)(Image.fromarray(rows[0, 0].numpy())).shape == (1, 20, 20)


def test_which_data_are_pictures(tmp_path: Path) -> None:
    def arrays(x: np.ndarray) -> Source:
        np.savez(tmp_path / "a.npz", x=x, y=np.arange(8) % 4)
        return Arrays(str(tmp_path / "a.npz"), fractions=(0.5, 0.5, 0.0))

    rng = np.random.default_rng(0)
    assert arrays(rng.integers(0, 255, (8, 6, 6), np.uint8)).load().pixels() == (1 / 255, 0.0)
    assert arrays(rng.random((8, 3, 6, 6))).load().pixels() == (1 / 255, 0.0)
    assert arrays(rng.random((8, 6, 6, 3))).load().pixels() == (1 / 255, 0.0)
    scale, shift = Glyphs(2, 2, 2, 1, 8).load().pixels() or (0, 0)
    assert (255 * scale + shift, shift) == (0.0, 1.0)
    for x in (rng.normal(size=(8, 3, 6, 6)), rng.random((8, 3, 6, 5)), rng.random((8, 4, 6, 6)),
              rng.random((8, 5)), rng.integers(0, 9, (8, 1, 6, 6))):  # fmt: skip
        assert arrays(x).load().pixels() is None
    assert Sinusoid().load().pixels() is None


# ---- what is refused


def test_what_is_no_finished_run_is_one_line(run: Path, home: Path, tmp_path: Path) -> None:
    assert "no run directory" in refused(tmp_path)
    assert "no run directory" in refused("runs/nowhere/0123456789-s0")
    assert "are no square pictures" in refused(learned(home, "maml"))
    whole = (run / "transfer.safetensors").read_bytes()
    for content in (whole[:-9], whole[:300], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        (run / "transfer.safetensors").write_bytes(content)
        assert "damaged" in refused(run)
    (run / "transfer.safetensors").unlink()
    assert "is not finished" in refused(run)
    assert f"metatl run {run}/config.yaml" in refused(run)


def test_another_size_where_the_net_has_one_of_its_own(home: Path) -> None:
    run = learned(home, "supervised", model={"class_path": "CNN", "init_args": {"filters": [2], "hidden": 3}})
    assert pretrained(str(run)).preparation.size == 16
    assert "the run's own size is 16" in refused(run, 20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["net"].pop("pixels"), "is damaged"),
        (lambda t: t["net"].update(pixels=[0, 1]), "is damaged"),
        (lambda t: t["net"].update(pixels="no"), "is damaged"),
        (lambda t: t["net"].update(shape=[1, 10**9, 10**9]), "is damaged"),
        (lambda t: t["net"].update(shape=[2, 16, 16]), "channels is 3"),
        (lambda t: t.update(net=[]), "is damaged"),
        (lambda t: t["net"].update(outputs=10**12), "does not fit"),
        (lambda t: t["net"].update(head="nowhere.head"), "'nowhere.head' is no linear layer of Conv4"),
        (lambda t: t["net"].update(head="blocks.0"), "'blocks.0' is no linear layer of Conv4"),
        (lambda t: t["net"]["model"].update(init_args={"filters": 10**6}), "does not fit"),
        (lambda t: t["net"]["model"].update(init_args={"filters": {"class_path": "os.system"}}), "no plain"),
        (lambda t: t["net"]["model"].update(init_args={"filters": -3}), "cannot be made"),
        (lambda t: t["net"]["model"].update(init_args={"width": 3}), "cannot be made"),
        (lambda t: t.update(version=99), "update metatl"),
        (lambda t: t.pop("net"), "does not say how its examples are prepared"),
    ],
)
def test_facts_that_lie_are_one_line(change: Callable[[dict[str, Any]], Any], said: str, run: Path) -> None:
    """No size is believed: a net of 10^6 channels is refused before one of them is allocated."""
    assert said in refused(edited(run, change))


def test_a_run_of_before_is_noted_by_running_it(run: Path, home: Path, tmp_path: Path) -> None:
    edited(run, lambda told: told.pop("net"))
    runs = tmp_path / "runs"
    again = runs / "supervised" / learned(home, "supervised").name
    shutil.copytree(run, again)
    refused(again)
    assert metatl("run", again / "config.yaml", "--runs", runs, "--learn-only").code == 0
    assert pretrained(str(again)).preparation.size == 16
    assert store.read_json(again / "learned.json") == store.read_json(
        learned(home, "supervised") / "learned.json"
    )


# ---- code


def test_a_received_run_runs_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_code.py").write_text("open('ran', 'w')\nfrom metatl.models import Conv4 as Net\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in ("their_code.Net", "os.system", "metatl.models.Conv5", "metatl.models.conv4.nn"):
        edited(run, lambda told, path=path: told["net"]["model"].update(class_path=path))
        assert "code that a file does not run by itself" in refused(run)
    assert not (tmp_path / "ran").exists()


def test_a_class_of_ones_own_is_made_where_it_is_named(home: Path) -> None:
    model = {"class_path": "own_net_of_a_run.Net", "init_args": {"width": 5}}
    run = learned(home, "supervised", model=model)
    assert f"name it: own_net_of_a_run.Net@{run}" in refused(run)
    made, kept = pretrained(f"own_net_of_a_run.Net@{run}"), load(run)
    x = torch.rand(3, 1, 16, 16)
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        theirs = kept.net(kept.transfer.params, kept.transfer.buffers, x)
        torch.testing.assert_close(made.module(x), theirs)
    assert (made.head, made.recipe["arguments"]) == ("4", {"width": 5})
    again = rebuild(json.loads(json.dumps(dict(made.recipe))), own="own_net_of_a_run.Net")
    again.load_state_dict(made.module.state_dict())
    assert torch.equal(again(x), made.module(x))
    assert "not with tests.own_nets.Small" in refused(f"tests.own_nets.Small@{run}")
