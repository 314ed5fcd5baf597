"""Several processes are one: the same numbers, one writer, one line when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.commands import config_of, lines_of, metatl, only, refused, small_cache, timeless, written
from tests.processes.ranks import Rank, done, ended, free_port, started, wait_for

AGAIN = "the same command goes on from the last checkpoint"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_cache(monkeypatch, tmp_path / "cache")
    torch.set_num_threads(1)


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("law", ["gradients", "maps", "learners", "values"])
def test_law(law: str, world: int, tmp_path: Path) -> None:
    assert done(law, world, tmp_path) == ""


@pytest.mark.parametrize("world", [2, 3])
def test_scouts_of_several_processes_find_the_same_directions(world: int, tmp_path: Path) -> None:
    """Their displacements are the one thing that every process writes: whole files, under one name each."""
    here = {rank: {"folder": str(tmp_path)} for rank in range(world)}
    said = ended(started("scouts", world, tmp_path / "logs", own=here))
    for one in said:
        assert one.code == 0, one.out[-3000:]
        assert all(line.startswith("wrote ") for line in one.lines), one.out[-3000:]
    kept = tmp_path / "displacements"
    assert len(list((kept / "all").iterdir())) == 2
    assert {folder.name for folder in kept.iterdir()} == {"all", *(f"own-{rank}" for rank in range(world))}


@pytest.mark.gpu
def test_law_on_cards(tmp_path: Path) -> None:
    assert done("cards", 2, tmp_path) == ""


def maml(folder: Path, steps: int = 6) -> str:
    """A config: three tasks a step, five episodes."""
    values = config_of("maml", steps)
    values["evaluation"]["episodes"] = 5
    return written(folder, {**values, "validate_every": 3, "select": {"steps": [1, 2]}})


def assert_close_runs(one: Path, other: Path, tolerance: float = 1e-4) -> None:
    """The same up to summation order, in float32: weights, metrics, scores, and what the report says."""
    ours, theirs = (load_file(run / "transfer.safetensors") for run in (one, other))
    assert list(ours) == list(theirs)
    for name, leaf in theirs.items():
        torch.testing.assert_close(ours[name], leaf, rtol=tolerance, atol=tolerance * 0.1)
    for mine, line in zip(lines_of(one), lines_of(other), strict=True):
        assert mine == pytest.approx(line, rel=tolerance, abs=1e-6)
    scores = [np.load(run / "episodes.npy") for run in (one, other)]
    np.testing.assert_allclose(*scores, rtol=tolerance, atol=1e-6)
    reports = [timeless(json.loads((run / "report.json").read_text())) for run in (one, other)]
    assert reports[0]["protocol"] == reports[1]["protocol"]
    assert reports[0]["facts"]["selected"] == reports[1]["facts"]["selected"]


def test_a_run_by_three_is_a_run_by_one(tmp_path: Path) -> None:
    config = maml(tmp_path)
    assert metatl("run", config, "--runs", tmp_path / "1").code == 0
    said = done(["run", config, "--runs", tmp_path / "3"], 3, tmp_path / "logs")
    assert said.count("(meta_test, 5 episodes") == 1
    ours, theirs = only(tmp_path / "3"), only(tmp_path / "1")
    assert_close_runs(ours, theirs)
    names = [{path.name.split(".tfevents")[0] for path in run.iterdir()} for run in (ours, theirs)]
    assert names[0] == names[1]
    assert "report.json" in names[0]
    # What is there is loaded by all, and made again by none.
    before = (ours / "report.json").stat().st_mtime_ns
    assert done(["run", config, "--runs", tmp_path / "3"], 2, tmp_path / "logs").count("5 episodes") == 1
    assert (ours / "report.json").stat().st_mtime_ns == before
    # One process alone takes a report of several for its own.
    assert metatl("run", config, "--runs", tmp_path / "3").code == 0
    assert (ours / "report.json").stat().st_mtime_ns == before


def test_a_benchmark_with_starts(tmp_path: Path) -> None:
    """Pre-training, scouts, a guided row and Reptile, then another protocol: by two as by one."""
    blobs = torch.randn(12, 1, 4) * 2 + torch.randn(12, 6, 4)
    np.savez(tmp_path / "blobs.npz", x=blobs.flatten(0, 1).numpy(), y=np.repeat(np.arange(12), 6))
    common: dict[str, Any] = {
        "data": {"class_path": "Arrays", "init_args": {"path": str(tmp_path / "blobs.npz")}},
        "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
        "adaptation": {"steps": 2, "head": {"class_path": "Zeros"}},
        "evaluation": {"tasks": {"way": 2, "shot": 1, "query": 3}, "episodes": 7, "select_episodes": 3},
    }
    two = {"way": 2, "shot": 2, "query": 0}
    supervised, scout, reptile = (
        config_of(name, 3)["learner"] for name in ("supervised", "scout", "reptile")
    )
    scout["init_args"]["tasks"] = reptile["init_args"]["tasks"] = two
    configs = [
        written(tmp_path, {"name": "pretrain", **common, "learner": supervised}, "pretrain.yaml"),
        written(tmp_path, {"name": "scouts", **common, "learner": scout, "start": "pretrain.yaml"}, "s.yaml"),
        written(
            tmp_path,
            {"name": "gtl", **common, "start": "s.yaml", "select": {"rule.lr": [0.1, 1.0]}},
            "g.yaml",
        ),
        written(tmp_path, {"name": "reptile", **common, "learner": reptile}, "r.yaml"),
    ]
    tables: list[Any] = []
    for world in (1, 2):
        out = tmp_path / f"out{world}"
        words = ["benchmark", *configs, "--runs", tmp_path / f"runs{world}", "--out", out]
        said = done(words, world, tmp_path / "logs")
        assert said.count("gtl") >= 1
        tables.append(json.loads((out / "report.json").read_text()))
        assert (out / "plot.png").is_file()
    for mine, row in zip(tables[1]["rows"], tables[0]["rows"], strict=True):
        assert (mine["method"], mine["accuracy"]) == (row["method"], pytest.approx(row["accuracy"], abs=1e-4))
    folders = [{run.parent.name: run for path in (tmp_path / f"runs{world}").rglob("report.json")
                if (run := path.parent)} for world in (1, 2)]  # fmt: skip
    for name, theirs in folders[0].items():
        assert_close_runs(folders[1][name], theirs)
    words = ["evaluate", folders[1]["gtl"], "--evaluation.episodes", "3"]
    assert "3 episodes" in done(words, 2, tmp_path / "logs")


def recorded(runs: Path) -> int:
    """How many lines of metrics lie there."""
    return sum(len(path.read_text().splitlines()) for path in runs.rglob("metrics.jsonl"))


def assert_one_line(ranks: list[Rank], victim: int) -> None:
    """The survivors end within a minute, with one line in all."""
    said = ended(ranks)
    lines = [line for rank, one in enumerate(said) if rank != victim for line in one.lines]
    if victim == 0:  # here, without torchrun, the store ends with it, and torch's C++ code tells of that
        lines = [line for line in lines if line.startswith("metatl: ")]
    assert len(lines) == 1, lines
    assert AGAIN in lines[0]
    assert {one.code for rank, one in enumerate(said) if rank != victim} == {1}


def test_a_killed_process_ends_the_job_which_others_resume(tmp_path: Path) -> None:
    config, runs = maml(tmp_path, 40), tmp_path / "runs"
    words = ["run", config, "--runs", runs]
    for world, victim in ((3, 2), (2, 0)):
        before = recorded(runs)
        ranks = started(words, world, tmp_path / "logs", slow=0.05)
        wait_for(lambda before=before: recorded(runs) > before + 4)
        os.kill(ranks[victim].process.pid or 0, signal.SIGKILL)
        assert_one_line(ranks, victim)
        if victim:
            assert (only(runs) / "last.ckpt").is_file(), "process 0 keeps what was done"
    done(words, 3, tmp_path / "logs")
    assert metatl("run", config, "--runs", tmp_path / "whole").code == 0
    assert_close_runs(only(runs), only(tmp_path / "whole"))


@pytest.mark.parametrize("victim", [1, 0], ids=["another", "the one that holds the marks"])
def test_a_process_that_hangs_ends_the_job(victim: int, tmp_path: Path) -> None:
    words = ["run", maml(tmp_path, 40), "--runs", tmp_path / "runs"]
    ranks = started(words, 2, tmp_path / "logs", slow=0.05, patience=1.5)
    wait_for(lambda: recorded(tmp_path / "runs") > 4)
    os.kill(ranks[victim].process.pid or 0, signal.SIGSTOP)
    said = ranks[1 - victim].ended(20)
    ranks[victim].process.kill()
    assert (said.code, len(said.lines)) == (1, 1)
    assert AGAIN in said.lines[0]


def test_a_launcher_that_stops_the_job_keeps_what_was_done(tmp_path: Path) -> None:
    ranks = started(["run", maml(tmp_path, 40), "--runs", tmp_path / "runs"], 2, tmp_path / "logs", slow=0.05)
    wait_for(lambda: recorded(tmp_path / "runs") > 4)
    for rank in ranks:
        os.kill(rank.process.pid or 0, signal.SIGTERM)
    assert_one_line(ranks, victim=-1)
    assert (only(tmp_path / "runs") / "last.ckpt").is_file()


def test_a_mistake_is_one_line_of_the_whole_job(tmp_path: Path) -> None:
    config = maml(tmp_path)
    cases: list[tuple[list[str], dict[int, list[str]]]] = [
        (["run", config, "--learner.nothing", "1"], {}),
        (["walk"], {}),
        (["run", config, "--runs", "/dev/null/x"], {}),  # noticed by process 0 alone
        (["run", config, "--runs", str(tmp_path)], {1: ["run", "not-on-this-machine.yaml"]}),
    ]
    for words, only_one in cases:
        said = ended(started(words, 2, tmp_path / "logs", only=only_one))
        lines = [line for one in said for line in one.lines]
        assert len(lines) == 1, lines
        assert lines[0].startswith("metatl: ")
        assert [one.code for one in said] == [2, 2]


def test_an_environment_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "RANK is not" in refused("run", maml(tmp_path))
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "here")
    assert "numbers" in refused("run", maml(tmp_path))
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert metatl("run", maml(tmp_path, 1), "--learn-only", "--runs", tmp_path / "runs").code == 0


def processes_of(folder: Path) -> list[int]:
    """The processes of this job that compute, by what stands in their environment."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words and b"\0RANK=" in environment:
            found.append(int(path.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_two_nodes_of_torchrun_restart_what_was_killed(tmp_path: Path) -> None:
    config, runs = maml(tmp_path, 400), tmp_path / "runs"
    words = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
            "--max-restarts", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{free_port()}",
            "--rdzv-id", "test", "-m", "metatl.lab.cli", "run", config, "--runs", str(runs)]  # fmt: skip
    logs = [tmp_path / f"node{i}.log" for i in range(2)]
    nodes: list[subprocess.Popen[bytes]] = []
    for log in logs:
        with log.open("w") as file:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
            nodes.append(subprocess.Popen(words, stdout=file, stderr=file, env=environment))
    try:
        wait_for(lambda: recorded(runs) > 4)
        os.kill(max(processes_of(runs)), signal.SIGKILL)
        codes = [one.wait(120) for one in nodes]
    finally:
        for one in nodes:
            one.kill()
        for pid in processes_of(runs):
            os.kill(pid, signal.SIGKILL)
    text = [log.read_text() for log in logs]
    assert codes == [0, 0], "\n".join(one[-3000:] for one in text)
    assert sum(one.count("(meta_test, 5 episodes") for one in text) == 1
    assert sum(AGAIN in one for one in text) >= 1, text
    assert metatl("run", config, "--runs", tmp_path / "whole").code == 0
    assert_close_runs(only(runs), only(tmp_path / "whole"))
