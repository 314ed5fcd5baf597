"""The command `metatl` on the smallest experiments: what it says and writes, what it does not do twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from metatl.lab import store
from tests import commands
from tests.commands import GLYPHS, Said, assert_same_run, config_of, metatl, only, timeless, written

ROW = (
    "method", "transductive", "accuracy", "ci95", "episodes", "difference", "difference_ci95", "p", "harmed",
    "trainable", "seconds_to_learn", "ms_per_task",
)  # fmt: skip
RUN = {
    "config.yaml",
    "provenance.json",
    "metrics.jsonl",
    "transfer.safetensors",
    "report.json",
    "episodes.npy",
}


pytestmark = pytest.mark.usefixtures("own_cache")


def grid(folder: Path) -> list[str]:
    """Three rows, two of which start from one pre-trained run, and that run's config."""
    written(folder, {**config_of("supervised"), "name": "pretrain"}, "start.yaml")
    rows = {
        "scratch": {**GLYPHS},
        "fine-tune": {**GLYPHS, "start": "start.yaml", "select": {"rule.lr": [0.1, 0.3]}},
        "head-only": {
            **GLYPHS,
            "start": "start.yaml",
            "guide": {"class_path": "ByName", "init_args": {"rules": [["^head", 1], ["", 0]]}},
        },
    }
    return [written(folder, {"name": name, **values}, f"{name}.yaml") for name, values in rows.items()]


@pytest.mark.parametrize("name", ["", "run", "benchmark", "evaluate", "compare", "profile", "data"])
def test_help(name: str) -> None:
    found = metatl(*([name] if name else []), "--help")
    assert (found.code, found.lines) == (0, [])
    assert found.out.startswith("usage: metatl")
    if name in ("run", "benchmark", "evaluate"):
        assert "--learner.steps 100" in found.out


def test_nothing_said_is_help_and_every_key_is_listed() -> None:
    assert "COMMAND" in metatl().out
    found = metatl("run", "--help-config")
    assert found.code == 0
    for key in ("name:", "evaluation.tasks.way:", "learner:", "validate_every:"):
        assert key in found.out


def test_run_writes_a_run_directory_and_does_not_learn_twice(tmp_path: Path) -> None:
    path, runs = written(tmp_path, config_of("maml")), tmp_path / "runs"
    found = metatl("run", path, "--runs", runs)
    assert (found.code, found.lines) == (0, [])
    assert re.search(r"maml: loss \d+\.\d+ \+- \d+\.\d+ \(meta_test, 4 episodes, inductive\)", found.out)
    run = only(runs)
    assert str(run) in found.out
    assert {file.name for file in run.iterdir() if "tfevents" not in file.name} == RUN | {
        "learned.json", "report.html", ".lock"
    }  # fmt: skip
    assert [line["step"] for line in commands.lines_of(run)] == [2, 4, 6]
    assert commands.curve(run, "meta_train/query_loss") == [
        (line["step"], pytest.approx(line["meta_train/query_loss"])) for line in commands.lines_of(run)
    ]
    assert commands.curve(run, "meta_test/mse") == [(7, pytest.approx(store.load_report(run).mean))]
    told = json.loads((run / "provenance.json").read_text())
    assert {"commit", "versions", "device", "threads", "command", "started"} <= set(told)
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.iterdir()}
    again = metatl("run", path, "--runs", runs)
    assert (again.code, again.out) == (0, found.out + f"loaded {run}; --again learns anew\n")
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.iterdir()} == before


def test_learn_only_then_evaluate_in_another_way(tmp_path: Path) -> None:
    path, runs = written(tmp_path, config_of("maml")), tmp_path / "runs"
    found = metatl("run", path, "--learn-only", "--runs", runs)
    run = only(runs)
    assert found.out == f"learned: {run / 'transfer.safetensors'}\n"
    assert not (run / "report.json").exists()
    assert metatl("run", path, "--runs", runs).code == 0
    own = (run / "report.json").read_bytes()
    stamp = (run / "transfer.safetensors").stat().st_mtime_ns
    found = metatl("evaluate", run, "--evaluation.tasks.shot", 8, "--evaluation.episodes=6")
    assert (found.code, "6 episodes" in found.out) == (0, True), found
    (kept,) = (run / "evaluations").iterdir()
    assert store.load_report(kept).protocol["shot"] == 8
    assert (run / "report.json").read_bytes() == own
    assert (run / "transfer.safetensors").stat().st_mtime_ns == stamp
    assert metatl("run", path, "--runs", runs, "--evaluation.episodes", 5).code == 0
    assert len(store.load_report(run).scores) == 4
    assert sorted(len(store.load_report(place).scores) for place in (run / "evaluations").iterdir()) == [5, 6]
    assert (run / "transfer.safetensors").stat().st_mtime_ns == stamp


def test_a_run_directory_can_be_moved(tmp_path: Path) -> None:
    """And its start may have gone: what was learned is not learned again."""
    start = written(tmp_path, {**config_of("maml"), "name": "before"}, "start.yaml")
    path = written(tmp_path, {**config_of("maml"), "start": start})
    found = metatl("run", path, "--runs", tmp_path / "runs")
    moved = tmp_path / "elsewhere"
    only(tmp_path / "runs" / "maml").rename(moved)
    shutil.rmtree(tmp_path / "runs")
    again = metatl("evaluate", moved)
    assert again.code == 0, again
    assert again.out.splitlines()[0] == found.out.splitlines()[0]
    assert again.out.splitlines()[1] == f"run directory: {moved}"
    assert not (tmp_path / "runs").exists()
    line = commands.refused("evaluate", moved, "--seed", 3)
    assert f"change what is learned; give them to 'metatl run {moved}/config.yaml'" in line


def test_print_config_gives_the_run_again(tmp_path: Path) -> None:
    path = written(tmp_path, config_of("maml"))
    found = metatl("run", "--seed", 3, path, "--learner.steps", 4, "--print_config")
    values = yaml.safe_load(found.out)
    assert (values["seed"], values["learner"]["init_args"]["steps"]) == (3, 4)
    written(tmp_path, values, "b.yaml")
    assert metatl("run", tmp_path / "b.yaml", "--print_config").out == found.out
    assert not (tmp_path / "runs").exists()


def benchmarked(folder: Path) -> Said:
    return metatl("benchmark", *grid(folder), "--out", folder / "out", "--runs", folder / "runs")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A finished benchmark: its folder, and what the command said."""
    folder = tmp_path_factory.mktemp("benchmark")
    return folder, benchmarked(folder)


def test_benchmark(table: tuple[Path, Said]) -> None:
    folder, found = table
    out = folder / "out"
    assert (found.code, found.lines) == (0, [])
    told = json.loads((out / "report.json").read_text())
    assert set(told) == {"protocol", "rows"}
    for row in told["rows"]:
        assert set(ROW) <= set(row)
        assert 0 <= row["accuracy"] <= 100
    by_name = {row["method"]: row for row in told["rows"]}
    assert set(by_name) == {"scratch", "fine-tune", "head-only"}
    assert told["protocol"]["reference"] == "fine-tune"
    assert by_name["fine-tune"]["difference"] == 0
    chosen = by_name["fine-tune"]["selected"]["rule.lr"]
    end = {0.1: "lowest", 0.3: "highest"}[chosen]  # a grid of two is all ends
    assert f"fine-tune: rule.lr {chosen} is the {end} tried" in found.out
    assert by_name["head-only"]["trainable"] < by_name["fine-tune"]["trainable"]
    for name in by_name:
        assert name in (out / "table.md").read_text()
        assert name in found.out
    with Image.open(out / "plot.png") as plot:
        plot.load()
        assert min(plot.size) > 300
    assert str(out / "table.md") in found.out
    starts = list((folder / "runs" / "pretrain").iterdir())
    assert len(starts) == 1, "the start is trained once for two rows"
    assert [line["step"] for line in commands.lines_of(starts[0])] == [2, 4, 6]

    stamps = {run: run.stat().st_mtime_ns for run in (folder / "runs").rglob("transfer.safetensors")}
    again = metatl("benchmark", "--runs", folder / "runs", *grid(folder))
    assert again.out.splitlines()[:-1] == found.out.splitlines()[: len(again.out.splitlines()) - 1]
    assert stamps == {run: run.stat().st_mtime_ns for run in stamps}

    runs = [only(folder / "runs" / name) for name in by_name]
    compared = metatl("compare", *runs)
    assert compared.code == 0
    assert all(name in compared.out for name in by_name)


def test_the_same_command_gives_the_same_bytes_elsewhere(table: tuple[Path, Said], tmp_path: Path) -> None:
    assert benchmarked(tmp_path).code == 0
    said: list[tuple[Any, Any]] = []
    for place in (table[0], tmp_path):
        lines = (place / "out" / "table.md").read_text().splitlines()
        kept = [line.split("|")[:-3] for line in lines]  # without seconds and milliseconds
        said.append((kept, timeless(json.loads((place / "out" / "report.json").read_text()))))
    assert said[0] == said[1]
    for name in ("pretrain", "scratch", "fine-tune", "head-only"):
        one, other = (only(place / "runs" / name) for place in (table[0], tmp_path))
        assert_same_run(one, other)


def test_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METATL_DATA", str(tmp_path))
    found = metatl("data", "list")
    assert found.code == 0
    assert [line.split()[0] for line in found.out.splitlines()] == [
        "glyphs", "patterns", "sinusoid", "omniglot", "mnist", "hapt"
    ]  # fmt: skip
    assert "nothing to verify" in metatl("data", "verify", "sinusoid").out
    assert "nothing to download" in metatl("data", "download", "glyphs").out
    (tmp_path / "mnist").mkdir()
    np.savez(tmp_path / "mnist" / "mnist.npz", x_train=np.zeros(3))
    assert "get it again" in commands.refused("data", "verify", "mnist")


def test_ctrl_c_is_resumed(tmp_path: Path) -> None:
    values = config_of("maml", 60)
    path, log = written(tmp_path, values), tmp_path / "log"
    assert metatl("run", path, "--runs", tmp_path / "whole").code == 0
    words = ["run", path, "--runs", tmp_path / "cut"]
    process = commands.in_process(words, log, slow=0.02)
    lines = tmp_path / "cut"
    while not [file for file in lines.rglob("metrics.jsonl") if file.stat().st_size > 400]:
        assert process.is_alive(), log.read_text()
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(30)
    assert process.exitcode == 130
    said = log.read_text()
    assert "metatl: interrupted; the same command goes on from the last checkpoint" in said
    assert "Traceback" not in said
    run = only(tmp_path / "cut")
    state, seconds = store.load_checkpoint(run / "last.ckpt")
    assert 2 <= state.step < 60
    assert seconds > 0.02 * state.step
    assert "is not finished" in commands.refused("evaluate", run)
    assert not (run / "transfer.safetensors").exists()
    assert metatl(*words).code == 0
    assert_same_run(run, only(tmp_path / "whole"))


def test_the_installed_command_and_a_real_ctrl_c(tmp_path: Path) -> None:
    """As a person has it: an interpreter of its own, a signal from outside, the exit codes of a shell."""
    path = written(tmp_path, config_of("maml", 100_000))
    words = [sys.executable, "-m", "metatl.lab.cli", "run", path, "--runs", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not [file for file in (tmp_path / "runs").rglob("metrics.jsonl") if file.stat().st_size]:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert error.splitlines()[-1].startswith("metatl: interrupted")
    assert "Traceback" not in error
    assert store.load_checkpoint(only(tmp_path / "runs") / "last.ckpt")[0].step > 0
    assert not list((tmp_path / "runs").rglob("*.part"))
    done = subprocess.run([*words[:4], "nowhere.yaml"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "metatl: config nowhere.yaml is not there; check the path\n"


def test_waves_and_validation(tmp_path: Path) -> None:
    """Looking at meta-val while learning changes nothing that is learned."""
    values = config_of("maml")
    one, other = (tmp_path / name for name in ("plain", "validated"))
    assert metatl("run", written(tmp_path, values), "--runs", one).code == 0
    found = metatl("run", written(tmp_path, values), "--runs", other, "--validate_every", 3)
    assert found.code == 0
    rows = {line["step"]: line for line in commands.lines_of(only(other))}
    assert list(rows) == [2, 3, 4, 6]
    assert rows[3]["meta_val/mse_low"] < rows[3]["meta_val/mse"] < rows[3]["meta_val/mse_high"]
    name = "transfer.safetensors"
    assert (only(one) / name).read_bytes() == (only(other) / name).read_bytes()
