"""Faults of jobs of several processes, and what shows only after long: slopes, leaks, determinism."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torture_row import Hit, Row, each, landed

from tests.commands import LEARNERS, config_of, lines_of, metatl, only, timeless, written
from tests.processes import ranks, test_split
from tests.trust.lasting import files_open, resident, threads_of

STEPS, SLOPE_STEPS, WINDOW, RUNS = 60, 20_000, 100, 100


def like_one(place: Path, number: int) -> None:
    """A run by N processes gives what one gives, up to the order of sums; N = 1, 2, 3, 4 in turn."""
    world = number % 4 + 1
    config = test_split.maml(place, 12)
    assert metatl("run", config, "--runs", place / "one", "--seed", number).code == 0
    words = ["run", config, "--runs", place / "many", "--seed", number]
    ranks.done(words, world, place / "logs")
    test_split.assert_close_runs(only(place / "many"), only(place / "one"))


def laws(place: Path, number: int) -> None:
    """Gradients, maps, every learner and values, split over 2, 3 and 4 processes."""
    names = ("gradients", "maps", "learners", "values")
    assert ranks.done(names[number % 4], number // 4 % 3 + 2, place) == ""


def rank_killed(folder: Path, times: int) -> Iterator[Hit]:
    """A rank killed at a random moment: one line within 60 s; resumed with another number of processes.

    Without a launcher process 0 holds what the others agree by: where it is killed each of them says it.
    """
    draw, left, chain, slowest = random.Random(0), times, 0, 0.0
    config = test_split.maml(folder, STEPS)
    assert metatl("run", config, "--runs", folder / "whole").code == 0
    while left:
        runs, world, hits = folder / f"runs{chain}", 0, list[Hit]()
        words = ["run", config, "--runs", runs]
        while left > len(hits):
            world = draw.choice([n for n in (2, 3, 4) if n != world])
            before = test_split.recorded(runs)
            started = ranks.started(words, world, folder / "logs", slow=0.03)
            # One that is killed before it met the others is the launcher's to notice.
            ranks.wait_for(lambda: test_split.recorded(runs) > before or _ended(started))  # noqa: B023
            time.sleep(draw.uniform(0.0, 1.0))
            hit, seconds = _killed(started, draw.randrange(world))
            if hit is None:
                break
            slowest = max(slowest, seconds)
            hits.append(Hit(hit.lost, {"slowest_end_s": round(slowest, 1)}))
        same = landed(lambda: _resumed(words, world % 4 + 1, folder, runs))  # noqa: B023
        yield from [Hit(hit.lost or same.lost, hit.figures) for hit in hits]
        left, chain = left - len(hits), chain + 1
        shutil.rmtree(runs)


def _ended(started: list[ranks.Rank]) -> bool:
    return any(rank.process.exitcode is not None for rank in started)


def _killed(started: list[ranks.Rank], victim: int) -> tuple[Hit | None, float]:
    """Kill one of them; None where the job had ended; seconds until the others had."""
    if _ended(started):
        ranks.ended(started)
        return None, 0.0
    began = time.perf_counter()
    os.kill(started[victim].process.pid or 0, signal.SIGKILL)
    said = ranks.ended(started)
    seconds = time.perf_counter() - began
    others = [one for rank, one in enumerate(said) if rank != victim]
    if all(one.code == 0 for one in others):  # it was killed after the last thing it had to do
        return Hit(), seconds
    lines = [line for one in others for line in one.lines if line.startswith("metatl: ")]
    lines = sorted(set(lines)) if victim == 0 else lines
    whole = len(lines) == 1 and test_split.AGAIN in lines[0] and not any("Traceback" in o.out for o in others)
    fine = whole and seconds < 60 and {one.code for one in others} == {1}
    return Hit(
        "" if fine else f"victim {victim} of {len(said)}: {seconds:.0f} s, {[o.code for o in said]}, {lines}"
    ), seconds


def _resumed(words: list[Any], world: int, folder: Path, runs: Path) -> None:
    ranks.done(words, world, folder / "logs")
    test_split.assert_close_runs(only(runs), only(folder / "whole"))


def rank_stopped(place: Path, number: int) -> None:
    """A rank that hangs (SIGSTOP), with the patience that users have: the others end within 60 s."""
    config = test_split.maml(place, 400)
    started = ranks.started(["run", config, "--runs", place / "runs"], 2, place / "logs", slow=0.03)
    ranks.wait_for(lambda: test_split.recorded(place / "runs") > 2)
    victim = number % 2
    os.kill(started[victim].process.pid or 0, signal.SIGSTOP)
    try:
        said = started[1 - victim].ended(60)
    finally:
        started[victim].process.kill()
    lines = [line for line in said.lines if line.startswith("metatl: ")]
    assert said.code == 1, said
    assert len(lines) == 1, said
    assert test_split.AGAIN in lines[0], said


def rank_mistaken(place: Path, number: int) -> None:
    """A mistake of one rank alone, while the others wait for it: one line, exit code 2, within a minute."""
    config, world = test_split.maml(place), number % 3 + 2
    victim = number // 3 % world
    wrong = {victim: ["run", "not-on-this-machine.yaml"]}
    said = ranks.ended(
        ranks.started(["run", config, "--runs", place / "runs"], world, place / "logs", only=wrong)
    )
    lines = [line for one in said for line in one.lines]
    assert [one.code for one in said] == [2] * world, said
    assert len(lines) == 1, lines
    assert "not-on-this-machine.yaml is not there" in lines[0]


def launcher(place: Path, _: int) -> None:
    """Two nodes of torchrun, one rank killed, --max-restarts."""
    test_split.test_two_nodes_of_torchrun_restart_what_was_killed(place)


def slopes(folder: Path, times: int) -> Iterator[Hit]:
    """20,000 steps of MAML with records, meta-val and checkpoints: memory and step time at both ends.

    Each hundred steps are one time that growth could have shown; they stand or fall together.
    """
    import importlib

    watch: Any = importlib.import_module("metatl.lab.run.learn")._Watch
    called, memory, seconds, last = watch.__call__, list[int](), list[float](), [time.perf_counter()]

    def looking(self: Any, state: Any, metrics: Any) -> None:
        called(self, state, metrics)
        if state.step % WINDOW == 0:
            now = time.perf_counter()
            memory.append(resident())
            seconds.append((now - last[0]) / WINDOW)
            last[0] = now

    values = config_of("maml", times * WINDOW) | {"record_every": 20, "validate_every": 1000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "__call__", looking)
        code = metatl("run", written(folder, values), "--learn-only", "--runs", folder / "runs").code
    rest = slice(times // 10, None)  # the first steps record operations and fill allocators
    steps = np.arange(times)[rest] * WINDOW
    grown = float(np.polyfit(steps, np.array(memory)[rest] / 2**20, 1)[0]) * 10_000
    quarter = len(steps) // 4
    first, behind = (float(np.median(part)) for part in (seconds[rest][:quarter], seconds[-quarter:]))
    figures = {
        "steps": times * WINDOW,
        "mib_per_10000_steps": round(grown, 3),
        "ms_a_step_first_quarter": round(1000 * first, 3),
        "ms_a_step_last_quarter": round(1000 * behind, 3),
    }
    lost = "" if code == 0 and grown < 4 and behind < 1.25 * first else f"it grows: {figures}"
    yield from [Hit(lost, figures)] * times


def leaks(folder: Path, times: int) -> Iterator[Hit]:
    """Runs of every learner in one process: files, threads and memory."""
    names, before = list(LEARNERS), None
    paths = {name: written(folder, config_of(name, 2), f"{name}.yaml") for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metatl.lab.record.record_guide", lambda *_: None)  # pictures take seconds
        for number in range(times):
            words = ["run", paths[names[number % len(names)]], "--runs", folder / "runs", "--seed", number]
            code = metatl(*words).code
            now = files_open(), threads_of(), threading.active_count()
            before = now if number <= 2 * len(names) else before or now
            fine = code == 0 and all(mine <= other for mine, other in zip(now, before, strict=True))
            figures = {"files": now[0], "threads": now[1], "resident_mib": resident() >> 20}
            yield Hit("" if fine else f"run {number}: code {code}, {before} became {now}", figures)


def determined(place: Path, number: int) -> None:
    """A benchmark of six methods twice, in processes of their own: every file the same, times apart."""
    names = ["maml", "maml++", "protonet", "reptile", "scout", "supervised"]
    configs = [config_of(name, 10) | {"seed": number} for name in names]
    glyphs = [values for values in configs if values["data"]["class_path"] == "Glyphs"]
    fresh = {"steps": 2, "head": {"class_path": "Zeros"}}
    rows = [{**values, "adaptation": fresh, "select": {"rule.lr": [0.1, 0.3]}} for values in glyphs]
    paths = [written(place, values, f"{values['name']}.yaml") for values in rows]
    for turn in ("a", "b"):
        (place / turn).mkdir()
        words = [sys.executable, "-m", "metatl", "benchmark", *paths, "--runs", "runs", "--out", "out"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            words, cwd=place / turn, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-1000:]
    for one in sorted((place / "a").rglob("*")):
        if one.is_file() and "tfevents" not in one.name and one.name not in ("provenance.json", "last.ckpt"):
            other = place / "b" / one.relative_to(place / "a")
            _same_file(one, other)


def _same_file(one: Path, other: Path) -> None:
    if one.name in ("report.json", "learned.json"):
        mine, theirs = (timeless(json.loads(path.read_text())) for path in (one, other))
        for value in (mine, theirs):
            if isinstance(value, dict):
                value.pop("seconds", None)
                value.pop("before", None)
        assert mine == theirs, one
    elif one.name == "metrics.jsonl":
        assert lines_of(one.parent) == lines_of(other.parent), one
    elif one.name == "table.md":  # the columns of times apart
        cut = [
            ["|".join(line.split("|")[:8]) for line in path.read_text().splitlines()] for path in (one, other)
        ]
        assert cut[0] == cut[1], one
    else:
        assert one.read_bytes() == other.read_bytes(), one


ROWS = (
    Row("processes: 1, 2, 3, 4 as one", 12, each(like_one)),
    Row("processes: laws by 2, 3, 4", 12, each(laws)),
    Row("processes: a rank killed, resumed by another number", 30, rank_killed),
    Row("processes: a rank hangs", 4, each(rank_stopped)),
    Row("processes: a mistake in one rank", 18, each(rank_mistaken)),
    Row("processes: torchrun, two nodes, a rank killed", 3, each(launcher)),
    Row("long: 20,000 steps, in hundreds", SLOPE_STEPS // WINDOW, slopes),
    Row("long: runs in one process", RUNS, leaks),
    Row("determinism: a benchmark twice", 5, each(determined)),
)
