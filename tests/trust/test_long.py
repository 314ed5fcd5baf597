"""Long runs: a step costs at the end what it cost in the beginning, and runs leave nothing behind.

What is counted are objects, memory, Python calls, open files and threads; seconds are measured by
`scripts/torture.py --only long`, on more steps.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import commands
from tests.commands import config_of, metatl, written
from tests.trust.lasting import files_open, resident, threads_of

STEPS, EARLY, BETWEEN = 1100, 500, 200
RUNS, USED_TO = 30, 5


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.small_cache(monkeypatch, tmp_path / "cache")
    torch.set_num_threads(1)


class Counted:
    """Counts the calls of Python functions while it is on."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: Any, event: str, __: Any) -> None:
        self.calls += event in ("call", "c_call")


@pytest.fixture
def behind_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[int], None]]]:
    """Functions that are called behind every step of a run."""
    watch: Any = importlib.import_module("metatl.lab.run.learn")._Watch
    called, found = watch.__call__, list[Callable[[int], None]]()

    def and_more(self: Any, state: Any, metrics: Any) -> None:
        called(self, state, metrics)
        for one in found:
            one(state.step)

    monkeypatch.setattr(watch, "__call__", and_more)
    yield found
    sys.setprofile(None)


def test_steps_do_not_grow(tmp_path: Path, behind_steps: list[Callable[[int], None]]) -> None:
    """Objects, memory and calls a step, with records, meta-val and checkpoints on the way."""
    objects, memory, calls, counted = {}, {}, {}, Counted()

    def look(step: int) -> None:
        if step >= EARLY and step % BETWEEN == 100:
            sys.setprofile(None)
            if counted.calls:
                calls[step] = counted.calls
            gc.collect()
            objects[step], memory[step], counted.calls = len(gc.get_objects()), resident(), 0
        if step >= EARLY and step % BETWEEN == 0:  # hundred steps are counted, and hundred are not
            sys.setprofile(counted)

    behind_steps.append(look)
    values = config_of("maml", STEPS) | {"record_every": 20, "validate_every": 50}
    found = metatl("run", written(tmp_path, values), "--learn-only", "--runs", tmp_path / "runs")
    assert found.code == 0, found
    steps = sorted(objects)
    assert len(steps) - 1 == len(calls) == (STEPS - EARLY) // BETWEEN
    assert objects[steps[-1]] - objects[steps[0]] < 100, objects
    assert memory[steps[-1]] - memory[steps[0]] < 4 << 20, memory
    assert max(calls.values()) < 1.02 * min(calls.values()) + 200, calls
    assert min(calls.values()) > 1000


def test_many_runs_in_one_process_leave_nothing(tmp_path: Path) -> None:
    """Three learners in turn, with and without evaluation, refusals among them."""
    names = ("maml", "reptile", "maml", "supervised", "maml")
    paths = {name: written(tmp_path, config_of(name, 1), f"{name}.yaml") for name in names}
    before: tuple[int, int, int] | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metatl.lab.record.record_guide", lambda *_: None)  # pictures take seconds
        for number in range(RUNS):
            name = names[number % len(names)]
            words = ["run", paths[name], "--runs", tmp_path / "runs", "--seed", number]
            assert metatl(*words, *(["--learn-only"] if number % 3 else [])).code == 0
            assert metatl(*words, "--learner.steps", -1).code == 2
            if number == USED_TO:
                before = files_open(), threads_of(), threading.active_count()
    assert before is not None
    assert files_open() <= before[0]
    assert threads_of() <= before[1]
    assert threading.active_count() <= before[2]
