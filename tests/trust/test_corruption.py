"""Files that were damaged: found out and named in one line, or made again, or an older good one is used."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from metatl.data import Glyphs
from metatl.lab import store
from metatl.train import Checkpoints
from tests.commands import GLYPHS, LEARNERS, assert_same_run, config_of, metatl, only, refused, written

WORDS = ("--evaluation.episodes", "4")


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The config of a finished run with two checkpoints, and its directory."""
    folder = tmp_path_factory.mktemp("finished")
    path = written(folder, config_of("maml", 8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        assert metatl("run", path, "--runs", folder / "runs").code == 0
    return Path(path), only(folder / "runs")


@pytest.fixture
def run(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the finished run to harm, at the place where the command looks for it."""
    shutil.copytree(finished[1], tmp_path / "runs" / finished[1].parent.name / finished[1].name)
    return tmp_path / "runs" / finished[1].parent.name / finished[1].name


def harmed(whole: bytes, seed: int) -> bytes:
    """A truncation, a flipped bit, a run of zeros, or something else's bytes."""
    draw = random.Random(seed)
    place = draw.randrange(len(whole))
    match seed % 4:
        case 0:
            return whole[:place]
        case 1:
            return whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :]
        case 2:
            return whole[:place] + bytes(min(64, len(whole) - place)) + whole[place + 64 :]
        case _:
            return draw.randbytes(draw.randrange(200))


def results(said: str) -> str:
    """What a command shows, without the line that says whether it was loaded or made again."""
    return "\n".join(line for line in said.splitlines() if not line.startswith("loaded "))


@pytest.mark.parametrize(
    "name",
    ["transfer.safetensors", "report.json", "episodes.npy", "learned.json", "config.yaml", "metrics.jsonl"],
)
def test_a_harmed_file_of_a_finished_run(name: str, run: Path, finished: tuple[Path, Path]) -> None:
    """Nothing that is wrong is ever shown: the same report, or one line that names the file."""
    config, untouched = finished
    words = ["run", config, "--runs", run.parent.parent]
    whole = (run / name).read_bytes()
    shown = results(metatl(*words).out)
    for seed in (1, 2, 3, 5, 8):
        (run / name).write_bytes(harmed(whole, seed))
        if name in ("transfer.safetensors", "learned.json"):
            (run / "report.json").unlink(missing_ok=True)
        for again in (words, ["evaluate", run]):
            found = metatl(*again)
            assert found.code in (0, 2), found
            if found.code == 2:
                assert len(found.lines) == 1, found
                assert str(run) in found.lines[0], found
            elif name != "config.yaml":
                assert results(found.out) == shown, found
        shutil.rmtree(run)
        shutil.copytree(untouched, run)
    assert {file.name for file in untouched.iterdir()} == {file.name for file in run.iterdir()}


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Path, finished: tuple[Path, Path]) -> None:
    config, untouched = finished
    words = ["run", config, "--runs", run.parent.parent]
    for name in ("transfer.safetensors", "learned.json", "report.json"):
        (run / name).unlink()
    newest, _ = store.load_checkpoint(run / "last.ckpt")
    before, _ = store.load_checkpoint(run / "last.ckpt.previous")
    assert (newest.step, before.step) == (8, 7)
    whole = (run / "last.ckpt").read_bytes()
    for seed in range(8):
        (run / "last.ckpt").write_bytes(harmed(whole, seed))
        found = Checkpoints(run / "last.ckpt").resume()
        assert found is not None
        assert found[0].step == 7
        assert not (run / "last.ckpt").exists(), "it would have become the one before"
    (run / "last.ckpt").write_bytes(whole[:-9])
    assert metatl(*words).code == 0
    assert_same_run(run, untouched)
    for name in ("last.ckpt", "last.ckpt.previous"):
        (run / name).write_bytes(whole[:-9])
    for name in ("transfer.safetensors", "report.json"):
        (run / name).unlink()
    line = refused(*words)
    assert "last.ckpt" in line
    assert "delete it and run what made it again" in line
    for name in ("last.ckpt", "last.ckpt.previous"):
        (run / name).unlink()
    assert metatl(*words).code == 0
    assert_same_run(run, untouched)


def test_a_newer_checkpoint_is_not_passed_over(run: Path, finished: tuple[Path, Path]) -> None:
    (run / "transfer.safetensors").unlink()
    (run / "report.json").unlink()
    whole = (run / "last.ckpt").read_bytes()
    assert b'"version":"1"' in whole
    (run / "last.ckpt").write_bytes(whole.replace(b'"version":"1"', b'"version":"3"'))
    line = refused("run", finished[0], "--runs", run.parent.parent)
    assert "format version 3; this metatl reads up to 2: update metatl" in line
    assert (run / "last.ckpt").read_bytes() != whole


def test_metrics_that_are_damaged_in_the_middle_are_named(run: Path, finished: tuple[Path, Path]) -> None:
    for name in ("transfer.safetensors", "report.json"):
        (run / name).unlink()
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(lines[0] + b"{no json\n" + lines[2])
    words = ["run", finished[0], "--runs", run.parent.parent]
    assert "metrics.jsonl: line 2 is damaged; move the file away" in refused(*words)
    (run / "metrics.jsonl").unlink()
    assert metatl(*words).code == 0
    name = "transfer.safetensors"
    assert (run / name).read_bytes() == (finished[1] / name).read_bytes()


def test_a_harmed_cache_is_made_anew(cache_home: Path) -> None:
    source = Glyphs(**GLYPHS["data"]["init_args"])
    whole = source.load().banks["meta_test"].x
    (file,) = (cache_home / "metatl").glob("glyphs-*.npz")
    kept = file.read_bytes()
    for seed in range(16):
        file.write_bytes(harmed(kept, seed))
        assert torch.equal(source.load().banks["meta_test"].x, whole)
        assert file.read_bytes() == kept
    np.savez(file, meta_train=np.zeros((6, 6, 16, 16), np.uint8))  # whole, but not ours
    assert torch.equal(source.load().banks["meta_test"].x, whole)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_every_learners_checkpoint_notices_every_flip(tmp_path: Path) -> None:
    """Moments, sums, counts and guides are as well guarded as weights."""
    for name in ("maml++", "scout"):
        values = config_of(name, 2) | {"record_every": 1}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "due", lambda _: True)
            patch.setattr("metatl.lab.record.record_guide", lambda *_: None)
            path = written(tmp_path / name, values)
            assert metatl("run", path, "--learn-only", "--runs", tmp_path / name).code == 0
        file = only(tmp_path / name) / "last.ckpt"
        whole, draw = file.read_bytes(), random.Random(0)
        header = 8 + int.from_bytes(whole[:8], "little")
        for _ in range(60):
            place = draw.randrange(header, len(whole))
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
            with pytest.raises(store.DamagedError, match="checksum"):
                store.load_checkpoint(file)
    assert set(LEARNERS) > {"maml++", "scout"}
    assert json.loads((only(tmp_path / "scout") / "learned.json").read_text())["seconds"] > 0


def test_a_value_that_a_flip_made_null_is_named_with_its_run(run: Path, finished: tuple[Path, Path]) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("shot: 4", "shot: null", 1))
    assert str(run) in refused("evaluate", run)
