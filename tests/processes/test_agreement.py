"""Processes that disagree are told before they begin: which, and in what; nothing hangs or is written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.commands import config_of, metatl, only, small_cache, written
from tests.processes.ranks import done, ended, started

NETS = """from torch import nn


class Net(nn.Sequential):
    def __init__(self, shape: tuple[int, ...], outputs: int, weights: str):
        super().__init__(nn.Flatten(), nn.Linear(shape[0], 8), nn.ReLU(), nn.Linear(8, outputs))
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_cache(monkeypatch, tmp_path / "cache")
    torch.set_num_threads(1)


def values(**changed: Any) -> dict[str, Any]:
    """A small experiment on arrays of the working directory."""
    learner = config_of("supervised", 3)["learner"]
    return {
        "name": "t",
        "data": {"class_path": "Arrays", "init_args": {"path": "d.npz"}},
        "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
        "learner": learner,
        "adaptation": {"head": {"class_path": "Zeros"}, "steps": 1},
        "evaluation": {"tasks": {"way": 2, "shot": 1, "query": 2}, "episodes": 6, "select_episodes": 3},
        **changed,
    }


def machine(folder: Path, seed: int = 0, **changed: Any) -> Path:
    """A folder as a machine of its own would have it: data, a class, weights, configs."""
    folder.mkdir(parents=True)
    x = np.random.default_rng(seed).random((60, 4), np.float32)
    np.savez(folder / "d.npz", x=x, y=np.repeat(np.arange(12), 5))
    (folder / "agreed_nets.py").write_text(NETS)
    (folder / "w.txt").write_text("1")
    written(folder, values(**changed), "c.yaml")
    own = {"class_path": "agreed_nets.Net", "init_args": {"weights": "w.txt"}}
    written(folder, values(name="own", model=own), "own.yaml")
    written(folder, values(name="s", start="c.yaml", learner="Keep"), "s.yaml")
    return folder


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def told(words: list[str], world: int, tmp_path: Path, **faults: Any) -> str:
    """The one line of a job that is refused as a whole."""
    before = listing(tmp_path / "runs")
    said = ended(started(words, world, tmp_path / "logs", **faults))
    lines = [line for one in said for line in one.lines]
    assert [one.code for one in said] == [2] * world, said
    assert len(lines) == 1, lines
    assert listing(tmp_path / "runs") == before
    assert not [one for one in said if "wrote " in one.out]
    return lines[0]


def folders(tmp_path: Path, world: int, victim: int, **other: Any) -> dict[int, dict[str, Any]]:
    """A folder for every process, of which one is other."""
    return {
        rank: {"folder": str(machine(tmp_path / f"machine{rank}", **(other if rank == victim else {})))}
        for rank in range(world)
    }


@pytest.mark.parametrize("command", ["run", "benchmark", "evaluate"])
@pytest.mark.parametrize(("world", "victim"), [(2, 1), (3, 0), (3, 2)])
def test_other_data_of_one_shape(command: str, world: int, victim: int, tmp_path: Path) -> None:
    own = folders(tmp_path, world, victim, seed=1)
    given, runs = ["c.yaml"], str(tmp_path / "runs")
    if command == "evaluate":
        done(
            ["run", "c.yaml", "--runs", runs],
            world,
            tmp_path / "logs",
            own=dict.fromkeys(own, own[1 - victim % 2]),
        )
        given = [str(only(tmp_path / "runs")), "--evaluation.episodes", "5"]
    line = told([command, *given, "--runs", runs], world, tmp_path, own=own)
    assert f"process {victim} (on " in line
    assert f"of {world} differs in the content of the data" in line


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (["--seed", "1"], "seed (1; process 0 has 0)"),
        (["--adaptation.rule.lr", "0.5"], "adaptation.rule.lr (0.5;"),
        (["--learner.rule.lr", "0.5"], "learner.rule.lr (0.5;"),
        (["--learner.steps", "4"], "learner.steps (4; process 0 has 3)"),
        (["--evaluation.episodes", "7"], "evaluation.episodes (7; process 0 has 6)"),
        (["--select", "{steps: [1, 2]}"], "select.steps"),
        (["--validate_every", "2"], "validate_every (2; process 0 has 0)"),
        (["--engine", "Loop"], "engine.class_path"),
        (["--data.init_args.seed", "3"], "data.seed (3; process 0 has 0)"),
        (["--data", "Sinusoid"], "data.class_path"),
        (["--learn-only"], "the command's learn_only (True; process 0 has False)"),
        (["--again"], "the command's again"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_other_values(other: list[str], what: str, tmp_path: Path) -> None:
    own = folders(tmp_path, 2, 2)
    words = ["run", "c.yaml", "--runs", str(tmp_path / "runs")]
    line = told(words, 2, tmp_path, own=own, only={1: [*words, *other]})
    assert "process 1 (on " in line
    assert what in line


def test_other_values_of_an_evaluation_and_of_a_benchmark(tmp_path: Path) -> None:
    own, runs = folders(tmp_path, 2, 2), str(tmp_path / "runs")
    done(["run", "c.yaml", "--runs", runs], 2, tmp_path / "logs", own=own)
    run = str(only(tmp_path / "runs"))
    np.savez(
        tmp_path / "e.npz",
        x=np.random.default_rng(7).random((20, 4), np.float32),
        y=np.repeat(np.arange(4), 5),
    )
    shutil.copy(tmp_path / "e.npz", tmp_path / "f.npz")
    data = ["--data.init_args.fractions", "[0, 0, 1]", "--data.init_args.path"]
    words = ["evaluate", run, "--evaluation.episodes", "5"]
    cases = {
        "evaluation.episodes (4; process 0 has 5)": ["evaluate", run, "--evaluation.episodes", "4"],
        "data.path": [*words, *data, str(tmp_path / "e.npz")],
        "the command's command (run; process 0 has evaluate)": ["run", "c.yaml", "--runs", runs],
    }
    for what, other in cases.items():
        assert what in told(words, 2, tmp_path, own=own, only={1: other})
    assert "data.path" in told(
        [*words, *data, str(tmp_path / "f.npz")], 2, tmp_path, own=own,
        only={1: [*words, *data, str(tmp_path / "e.npz")]},
    )  # fmt: skip
    table = ["benchmark", "c.yaml", "--runs", runs]
    line = told(table, 2, tmp_path, own=own, only={1: [*table[:2], "own.yaml", *table[2:]]})
    assert "the command's configs (2; process 0 has 1)" in line
    both = ["benchmark", "c.yaml", "own.yaml", "--runs", runs]
    line = told(both, 2, tmp_path, own=own, only={1: ["benchmark", "own.yaml", "c.yaml", "--runs", runs]})
    assert "name (own; process 0 has t)" in line


def test_other_files_and_versions(tmp_path: Path) -> None:
    own = folders(tmp_path, 2, 2)
    words = ["run", "own.yaml", "--runs", str(tmp_path / "runs")]
    (tmp_path / "machine1" / "w.txt").write_text("2")
    assert "differs in the content of w.txt" in told(words, 2, tmp_path, own=own)
    (tmp_path / "machine1" / "w.txt").write_text("1")
    (tmp_path / "machine1" / "agreed_nets.py").write_text(NETS + "# other\n")
    assert "differs in the source of agreed_nets" in told(words, 2, tmp_path, own=own)
    (tmp_path / "machine1" / "agreed_nets.py").write_text(NETS)
    own[1]["versions"] = {"torch": "2.0.0"}
    line = told(words, 2, tmp_path, own=own)
    assert "differs in version of torch (2.0.0; process 0 has" in line
    del own[1]["versions"]
    done(words, 2, tmp_path / "logs", own=own)


def test_a_start_is_agreed_upon_too(tmp_path: Path) -> None:
    own = folders(tmp_path, 2, 1, seed=0, learner=config_of("supervised", 4)["learner"])
    line = told(["run", "s.yaml", "--runs", str(tmp_path / "runs")], 2, tmp_path, own=own)
    assert "learner.steps (4; process 0 has 3)" in line


def test_paths_of_configs_and_runs_are_each_ones_own(tmp_path: Path) -> None:
    """Where a config lies and where a process would write is no value of the run."""
    own, runs = folders(tmp_path, 2, 2), str(tmp_path / "runs")
    shutil.copy(tmp_path / "machine1" / "c.yaml", tmp_path / "machine1" / "renamed.yaml")
    written(tmp_path / "machine1", values(name="s", start="renamed.yaml", learner="Keep"), "s.yaml")
    other = ["run", "s.yaml", "--runs", str(tmp_path / "nowhere")]
    done(["run", "s.yaml", "--runs", runs], 2, tmp_path / "logs", own=own, only={1: other})
    assert not (tmp_path / "nowhere").exists()
    assert metatl("compare", next((tmp_path / "runs" / "s").iterdir())).code == 0
