"""Mixtures: files of other runs, data that change while a run is down, ranks that disagree."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torture_row import Hit, Row, each, landed

from metatl.train import Checkpoints
from tests import commands
from tests.commands import assert_same_run, config_of, metatl, only
from tests.processes import test_agreement

STEPS, SLOW, WHOLE = 60, 0.01, "whole"
OTHER = (
    ("--seed", "1", "seed"),
    ("--adaptation.rule.lr", "0.7", "adaptation.rule.lr"),
    ("--learner.steps", "5", "learner.steps"),
    ("--evaluation.episodes", "9", "evaluation.episodes"),
)


def mixed(folder: Path, times: int) -> Iterator[Hit]:
    """Files of a run with another seed, rate, length or net in its directory: refused, or its own numbers."""
    changes = [["--seed", 1], ["--learner.rule.lr", 0.02], ["--learner.steps", 7], ["--model.hidden", "[7]"]]
    config, path = config_of("maml", 6), folder / "c.yaml"
    commands.written(folder, config, path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        shown = metatl("run", path, "--runs", folder / WHOLE).out.splitlines()[0]
        for place, words in enumerate(changes):
            assert metatl("run", path, "--runs", folder / f"other{place}", *words).code == 0
    whole, others = only(folder / WHOLE), [only(folder / f"other{place}") for place in range(len(changes))]
    ends = ("report.json", "episodes.npy")
    taken = [
        *(("transfer.safetensors",), ("learned.json",), ("transfer.safetensors", "learned.json"), ends),
        *(("last.ckpt",), ("last.ckpt.previous",), ("last.ckpt", "last.ckpt.previous"), ("config.yaml",)),
    ]

    def one(number: int) -> None:
        draw, run = random.Random(number), folder / "runs" / whole.parent.name / whole.name
        shutil.rmtree(folder / "runs", ignore_errors=True)
        shutil.copytree(whole, run)
        names = draw.choice(taken)
        if names[0].startswith("last.ckpt"):
            for name in ("transfer.safetensors", "learned.json", "last.ckpt", "last.ckpt.previous", *ends):
                (run / name).unlink()
        elif names != ends and draw.random() < 0.5:
            (run / "report.json").unlink()
        for name in names:
            shutil.copy(draw.choice(others) / name, run / name)
        for words in (["run", path, "--runs", folder / "runs"], ["evaluate", run]):
            found = metatl(*words)
            if found.code == 0:
                assert found.out.splitlines()[0] == shown, found
                assert (run / "transfer.safetensors").read_bytes() == (
                    whole / "transfer.safetensors"
                ).read_bytes()
            else:
                assert (found.code, len(found.lines)) == (2, 1), found
                assert str(run) in found.lines[0], found

    for number in range(times):
        yield landed(lambda: one(number))  # noqa: B023


def other_data(folder: Path, times: int) -> Iterator[Hit]:
    """Killed at random moments while the data change to and fro: each data's run is the undisturbed one."""
    values = config_of("supervised", STEPS) | {
        "data": {"class_path": "Arrays", "init_args": {"path": str(folder / "d.npz")}},
        "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
    }
    path, draw, faults = commands.written(folder, values), random.Random(0), {"plain": True, "slow": SLOW}

    def change(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(60, 6)).astype(np.float32)
        np.savez(folder / "d.npz", x=x, y=np.arange(60) % 20)

    for seed in (0, 1):
        change(seed)
        assert metatl("run", path, "--runs", folder / f"{WHOLE}{seed}").code == 0
    wholes = [only(folder / f"{WHOLE}{seed}") for seed in (0, 1)]

    def one(number: int) -> None:
        runs = folder / str(number)
        for turn in range(4):
            change(turn % 2)
            process = commands.in_process(["run", path, "--runs", runs], folder / "log", 0.0, **faults)
            process.join(draw.uniform(0.1, 1.0))
            process.kill()
            process.join()
        assert "Traceback" not in (folder / "log").read_text()
        for seed in (0, 1):
            change(seed)
            assert metatl("run", path, "--runs", runs).code == 0
            assert_same_run(runs / wholes[seed].parent.name / wholes[seed].name, wholes[seed])

    for number in range(times):
        yield landed(lambda: one(number))  # noqa: B023


def disagreeing(place: Path, number: int) -> None:
    """One rank with other data of one shape, another value, class or version: one line, all end with 2."""
    draw, world = random.Random(number), number % 3 + 2
    victim = draw.randrange(world)
    own = test_agreement.folders(place, world, victim)
    command, runs = draw.choice(["run", "benchmark"]), place / "runs"
    words, other = [command, "own.yaml", "--runs", str(runs)], list[str]()
    match number % 4:
        case 0:
            shutil.rmtree(own[victim]["folder"])
            test_agreement.machine(Path(own[victim]["folder"]), seed=number + 1)
            what = "the content of the data"
        case 1:
            key, value, what = draw.choice(OTHER)
            other = [key, value]
        case 2:
            with open(Path(own[victim]["folder"]) / "agreed_nets.py", "a") as file:
                file.write(f"# {number}\n")
            what = "the source of agreed_nets"
        case _:
            own[victim]["versions"], what = {"numpy": "1.0.0"}, "version of numpy"
    line = test_agreement.told(words, world, place, own=own, only={victim: words + other})
    assert what in line, line
    assert world == 2 or f"process {victim} (on " in line, line
    assert not runs.exists()


ROWS = (
    Row("mixtures: a file of another run", 200, mixed),
    Row("mixtures: data that change while a run is down", 20, other_data),
    Row("processes: ranks that disagree", 40, each(disagreeing)),
)
