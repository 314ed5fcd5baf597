"""Killed runs: the same command goes on, and what comes out is bitwise what an unharmed run gives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from metatl.lab import store
from tests import commands
from tests.commands import (
    LEARNERS,
    assert_same_run,
    config_of,
    curve,
    lines_of,
    metatl,
    only,
    refused,
    written,
)

STEPS = 16


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_killed_run_is_the_run_that_was_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metatl.lab.record.record_guide", lambda *_: None)  # pictures take seconds
    path = written(tmp_path, config_of(name, STEPS))
    assert metatl("run", path, "--runs", tmp_path / "whole").code == 0
    words = ["run", path, "--runs", tmp_path / "killed"]
    hit = commands.killed_until_done(words, tmp_path / "log", 5, len(name), plain=True)
    assert hit >= 1, "nothing was killed"
    whole, killed = only(tmp_path / "whole"), only(tmp_path / "killed")
    assert_same_run(killed, whole)
    assert [line["step"] for line in lines_of(killed)] == list(range(2, STEPS + 1, 2))
    assert {file.name for file in killed.iterdir() if file.name.endswith(".part")} == set()
    assert "Traceback" not in (tmp_path / "log").read_text()


def started(folder: Path, words: list[str | Path], log: Path, **faults: float) -> commands.ForkServerProcess:
    """A slow run that has written its first metrics and a checkpoint."""
    process = commands.in_process(words, log, every=0.0, **{"slow": 0.02, **faults})
    for _ in range(3000):
        if [file for file in folder.rglob("metrics.jsonl") if file.stat().st_size] and list(
            folder.rglob("last.ckpt.previous")
        ):
            return process
        assert process.is_alive(), log.read_text()
        time.sleep(0.01)
    raise AssertionError(log.read_text())


def test_a_second_user_is_told_and_a_dead_ones_lock_is_free(tmp_path: Path) -> None:
    path, runs = written(tmp_path, config_of("maml", 400)), tmp_path / "runs"
    words = ["run", path, "--runs", runs]
    process = started(runs, words, tmp_path / "log")
    run = only(runs)
    before = (run / "config.yaml").stat().st_mtime_ns
    assert "is in use by another process; wait for it" in refused(*words)
    assert "is in use by another process" in refused("benchmark", path, "--runs", runs)
    assert (run / "config.yaml").stat().st_mtime_ns == before
    assert process.is_alive()
    process.kill()
    process.join()
    assert (run / ".lock").is_file(), "the lock of a dead process is still there, and no one's"
    state, _ = store.load_checkpoint(run / "last.ckpt")
    (run / ".last.ckpt.1.part").write_bytes(b"half")
    assert metatl(*words, "--learner.steps", 400).code == 0
    assert 0 < state.step < 400
    assert not (run / ".last.ckpt.1.part").exists()
    assert [line["step"] for line in lines_of(run)] == list(range(2, 401, 2))


@pytest.mark.parametrize("clock", [-86_400 * 400, -1, 3600], ids=["a year back", "a second back", "ahead"])
def test_a_clock_that_jumps_changes_nothing(clock: int, tmp_path: Path) -> None:
    path = written(tmp_path, config_of("maml", 30))
    assert metatl("run", path, "--runs", tmp_path / "whole").code == 0
    words = ["run", path, "--runs", tmp_path / "cut"]
    process = started(tmp_path / "cut", words, tmp_path / "log")
    process.kill()
    process.join()
    process = commands.in_process(words, tmp_path / "log", clock=clock)
    process.join(60)
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert_same_run(only(tmp_path / "cut"), only(tmp_path / "whole"))
    steps = [step for step, _ in curve(only(tmp_path / "cut"), "meta_train/query_loss")]
    assert steps == list(range(2, 31, 2))
