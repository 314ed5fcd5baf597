"""A disk that is full, a folder that is read-only or vanishes: one line, the last good checkpoint intact."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl.lab import store
from tests import commands
from tests.commands import assert_same_run, config_of, metatl, only, written

STEPS = 40


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unharmed run."""
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    assert metatl("run", written(folder, config_of("maml", STEPS)), "--runs", folder / "runs").code == 0
    return only(folder / "runs")


def begun(folder: Path, steps: int = STEPS, **faults: Any) -> tuple[Any, list[str | Path], Path]:
    """A slow run that has checkpoints, the words that started it, and its directory."""
    words: list[str | Path] = ["run", written(folder, config_of("maml", steps)), "--runs", folder / "runs"]
    process = commands.in_process(words, folder / "log", every=0.0, slow=0.02, **faults)
    for _ in range(3000):
        if list((folder / "runs").rglob("last.ckpt.previous")):
            return process, words, only(folder / "runs")
        assert process.is_alive(), (folder / "log").read_text()
        time.sleep(0.01)
    raise AssertionError("it never began")


def refusal(process: Any, log: Path) -> str:
    """The line with which a process ended."""
    process.join(60)
    lines = [line for line in log.read_text().splitlines() if line.startswith("metatl: ")]
    assert process.exitcode == 2, log.read_text()
    assert "Traceback" not in log.read_text()
    assert "Exception" not in log.read_text()
    assert len(lines) == 1, lines
    log.write_text("")
    return lines[0]


def test_a_directory_that_vanishes_is_noticed_and_not_made_anew(tmp_path: Path) -> None:
    process, words, run = begun(tmp_path, 190)
    run.rename(tmp_path / "away")  # at once, where deleting file by file would race with the writer
    shutil.rmtree(tmp_path / "away")
    assert "has vanished (moved, deleted or unmounted)" in refusal(process, tmp_path / "log")
    assert not run.exists()
    assert metatl(*words, "--learner.steps", 4).code == 0


def test_a_directory_that_was_moved_is_put_back_and_goes_on(tmp_path: Path, whole: Path) -> None:
    process, words, run = begun(tmp_path)
    run.rename(tmp_path / "elsewhere")
    assert "put it back and run again to resume" in refusal(process, tmp_path / "log")
    assert not run.exists()
    store.load_checkpoint(tmp_path / "elsewhere" / "last.ckpt")
    (tmp_path / "elsewhere").rename(run)
    assert metatl(*words).code == 0
    assert_same_run(run, whole)


def test_a_directory_taken_by_another_run_is_left_alone(tmp_path: Path) -> None:
    process, words, run = begun(tmp_path, 190)
    run.rename(tmp_path / "away")  # at once, where deleting file by file would race with the writer
    shutil.rmtree(tmp_path / "away")
    other = commands.in_process(words, tmp_path / "other", every=0.0, slow=0.02)
    assert "has vanished" in refusal(process, tmp_path / "log")
    while not (run / "last.ckpt").is_file():
        assert other.is_alive(), (tmp_path / "other").read_text()
        time.sleep(0.01)
    other.kill()
    other.join()
    assert "Traceback" not in (tmp_path / "other").read_text()
    store.load_checkpoint(run / "last.ckpt")


@pytest.mark.parametrize("largest", [400, 1500, 2500, 3000, 4000])
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(largest: int, tmp_path: Path, whole: Path) -> None:
    """No file may grow beyond this: config, events, metrics, checkpoint fail one after the other."""
    words = ["run", written(tmp_path, config_of("maml", STEPS)), "--runs", tmp_path / "runs"]
    process = commands.in_process(words, tmp_path / "log", every=0.0, largest=largest)
    assert "File too large" in refusal(process, tmp_path / "log")
    for run in (tmp_path / "runs").glob("maml/*"):
        assert not list(run.rglob("*.part"))
        for name in ("last.ckpt", "last.ckpt.previous"):
            if (run / name).is_file():
                store.load_checkpoint(run / name)
    process = commands.in_process(words, tmp_path / "log")
    process.join(60)
    assert process.exitcode == 0
    assert_same_run(only(tmp_path / "runs"), whole)


def test_a_directory_that_became_read_only(tmp_path: Path, whole: Path) -> None:
    process, words, run = begun(tmp_path, mortal=True)
    run.chmod(0o555)
    line = refusal(process, tmp_path / "log")
    assert "Permission denied" in line
    store.load_checkpoint(run / "last.ckpt")
    again = commands.in_process(words, tmp_path / "log", mortal=True)
    assert "Permission denied" in refusal(again, tmp_path / "log")
    run.chmod(0o755)
    assert metatl(*words).code == 0
    assert_same_run(run, whole)


def test_a_place_that_is_read_only_from_the_start(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir(mode=0o555)
    words = ["run", written(tmp_path, config_of("maml", STEPS)), "--runs", runs]
    line = refusal(commands.in_process(words, tmp_path / "log", mortal=True), tmp_path / "log")
    assert "Permission denied; choose another place with --runs" in line
    assert not list(runs.iterdir())
    runs.chmod(0o755)
