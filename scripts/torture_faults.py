"""Faults of one process: killed, corrupted, without space or directory, clocks, users, numbers, nonsense."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import UnsatisfiedAssumption
from torture_row import Hit, Row, each, landed

from metatl.data import Arrays, Glyphs, Tasks
from metatl.engines import Batched
from metatl.lab import store
from metatl.train import Checkpoints, check_finite
from metatl.types import MetatlError
from tests import commands
from tests.commands import LEARNERS, assert_same_run, config_of, metatl, only, refused
from tests.trust import fuzz, ground, test_corruption, test_disk, test_killed, test_numbers

STEPS, SLOW, CASES = 60, 0.01, 10_000
WHOLE = "whole"


def killed(name: str) -> Any:
    """kill -9 at random moments, the same command again until it ends: bit by bit the run that was not."""

    def hits(folder: Path, times: int) -> Iterator[Hit]:
        path = commands.written(folder, config_of(name, STEPS))
        faults = {"plain": True, "slow": SLOW}
        whole = commands.in_process(["run", path, "--runs", folder / WHOLE], folder / "log", 0.0, **faults)
        began = time.perf_counter()
        whole.join()
        longest = 1.1 * (time.perf_counter() - began)
        assert whole.exitcode == 0, (folder / "log").read_text()[-500:]
        left, chain = times, 0
        while left:
            runs = folder / str(chain)
            runs.mkdir()
            words = ["run", path, "--runs", runs]
            hit = commands.killed_until_done(words, runs / "log", left, chain, longest, **faults)
            found = landed(lambda: _as_whole(runs, folder / WHOLE))  # noqa: B023
            yield from [found] * hit
            left, chain = left - hit, chain + 1
            shutil.rmtree(runs)

    return hits


def _as_whole(runs: Path, whole: Path) -> None:
    mine, other = only(runs), only(whole)
    assert_same_run(mine, other)
    assert [line["step"] for line in commands.lines_of(mine)] == list(range(2, STEPS + 1, 2))
    assert not [file.name for file in mine.iterdir() if file.name.endswith(".part")]
    assert "Traceback" not in (runs / "log").read_text()


def corrupted(name: str) -> Any:
    """Truncated, flipped, zeroed or foreign bytes: the same result, or one line that names the file."""

    def hits(folder: Path, times: int) -> Iterator[Hit]:
        grown = ground.made(folder)
        shown = metatl("run", grown.config, "--runs", folder / WHOLE).out.splitlines()[0]
        for number in range(times):
            yield landed(lambda: one(grown, shown, number))  # noqa: B023

    def one(grown: ground.Ground, shown: str, number: int) -> None:
        run = grown.fresh()
        (run / name).write_bytes(test_corruption.harmed((run / name).read_bytes(), number))
        gone = {"last.ckpt": ["transfer.safetensors", "report.json"], "transfer.safetensors": ["report.json"],
                "learned.json": ["report.json"]}  # fmt: skip
        for other in gone.get(name, []):
            (run / other).unlink()
        again = ["run", grown.config, "--runs", run.parent.parent]
        for words in [again] if name == "last.ckpt" else [again, ["evaluate", run]]:
            found = metatl(*words)
            if found.code == 0:
                assert name == "config.yaml" or found.out.splitlines()[0] == shown, found
            else:
                assert found.code == 2, found
                assert len(found.lines) == 1, found
                assert str(run) in found.lines[0], found
                assert name != "last.ckpt", "there is an older one"

    return hits


def corrupted_data(folder: Path, times: int) -> Iterator[Hit]:
    """An npz file of one's own: the very arrays, or one line; and the cache: made again."""
    path = folder / "own.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(40, 6)), y=np.arange(40) % 8)
    whole = path.read_bytes()
    expected = Arrays(str(path)).load().banks["meta_train"].x
    glyphs = Glyphs(6, 5, 5, 6, 16)
    drawn = glyphs.load().banks["meta_test"].x
    (cache,) = (folder / "cache" / "metatl").glob("glyphs-*.npz")
    kept = cache.read_bytes()

    def one(number: int) -> None:
        path.write_bytes(test_corruption.harmed(whole, number))
        found = ground.lands(lambda: Arrays(str(path)).load())
        assert isinstance(found, str) or torch.equal(found.banks["meta_train"].x, expected)
        cache.write_bytes(test_corruption.harmed(kept, number))
        assert torch.equal(glyphs.load().banks["meta_test"].x, drawn)
        assert cache.read_bytes() == kept

    for number in range(times):
        yield landed(lambda: one(number))  # noqa: B023


def corrupted_delta(folder: Path, times: int) -> Iterator[Hit]:
    """A delta: the very bits, or one line; and for another base one line."""
    grown = ground.made(folder)
    for number in range(times):
        harm = test_corruption.harmed(grown.files["a.delta"], number)
        yield landed(lambda: fuzz.tensors(grown, ("a.delta", harm)))  # noqa: B023


def limited(folder: Path, times: int) -> Iterator[Hit]:
    """No file may grow beyond a random size; then it may, and the run goes on."""
    whole, draw = _unharmed(folder), random.Random(0)
    for number in range(times):
        place = folder / str(number)
        largest = draw.randrange(200, 4300)
        test = test_disk.test_a_full_disk_is_one_line_and_the_run_goes_on_later
        yield landed(lambda: test(largest, place, whole))  # noqa: B023


def full(folder: Path, times: int) -> Iterator[Hit]:
    """A file system of its own that is full in truth (Linux: a mount that nobody else sees)."""
    whole, draw = _unharmed(folder), random.Random(1)
    path = commands.written(folder, config_of("maml", test_disk.STEPS), "full.yaml")
    run = f"{sys.executable} -m metatl.lab.cli run {path} --runs"
    sizes = [file.stat().st_size for file in whole.iterdir() if file.name != "provenance.json"]
    needed = sum(-(-size // 4096) * 4096 for size in sizes)

    def one(number: int) -> None:
        place, kept = folder / f"disk{number}", folder / f"kept{number}"
        place.mkdir()
        size = round(needed * draw.uniform(0.1, 0.9)) // 4096 * 4096
        line = f"mount -t tmpfs -o size={size} none {place} && {{ {run} {place}; echo code $?; }}"
        line += f"; cp -r {place} {kept}"
        said = subprocess.run(
            ["unshare", "-rm", "sh", "-c", line], capture_output=True, text=True, check=False
        )
        lines = [text for text in said.stderr.splitlines() if text.startswith("metatl: ")]
        assert "code 2" in said.stdout, said
        assert "Traceback" not in said.stderr, said
        assert len(lines) == 1, said
        assert "No space left on device" in lines[0], lines
        for name in ("last.ckpt", "last.ckpt.previous"):
            for file in kept.rglob(name):
                store.load_checkpoint(file)
        assert metatl("run", path, "--runs", kept).code == 0
        assert_same_run(only(kept), whole)

    for number in range(times):
        yield landed(lambda: one(number))  # noqa: B023


def _unharmed(folder: Path) -> Path:
    path = commands.written(folder, config_of("maml", test_disk.STEPS))
    assert metatl("run", path, "--runs", folder / WHOLE).code == 0
    return only(folder / WHOLE)


def vanished(folder: Path, times: int) -> Iterator[Hit]:
    """Deleted, moved and put back, taken by another run, made read-only, in turn."""
    whole = _unharmed(folder)
    tests = [
        test_disk.test_a_directory_that_vanishes_is_noticed_and_not_made_anew,
        lambda place: test_disk.test_a_directory_that_was_moved_is_put_back_and_goes_on(place, whole),
        test_disk.test_a_directory_taken_by_another_run_is_left_alone,
        lambda place: test_disk.test_a_directory_that_became_read_only(place, whole),
        test_disk.test_a_place_that_is_read_only_from_the_start,
    ]
    for number in range(times):
        place = folder / str(number)
        place.mkdir()
        yield landed(lambda: tests[number % len(tests)](place))  # noqa: B023


def clock(place: Path, number: int) -> None:
    """The clock jumps by up to ten years either way while a run is down."""
    jump = random.Random(number).randrange(-315_000_000, 315_000_000)
    test_killed.test_a_clock_that_jumps_changes_nothing(jump, place)


def two_users(place: Path, _: int) -> None:
    """A second user is told and harms nothing; the lock of a killed one is free."""
    test_killed.test_a_second_user_is_told_and_a_dead_ones_lock_is_free(place)


def poisoned(place: Path, number: int) -> None:
    """A value that is not finite in one task: named in its step, or skipped, or the scout left out."""
    draw = random.Random(number)
    at, value = draw.randrange(12), draw.choice([float("nan"), float("inf"), -float("inf")])
    data = test_numbers.Poisoned((at,), value)
    if number % 3 == 0:
        *_, (state, metrics) = test_numbers.learned(test_numbers.MAML, data, Batched(), at // 4 + 1)
        with pytest.raises(MetatlError, match=f"at step {at // 4 + 1}: the run has diverged"):
            check_finite(state, metrics)
    elif number % 3 == 1:
        skipping = replace(test_numbers.MAML, skip_bad_tasks=True)
        seen = test_numbers.learned(skipping, data, Batched(), 3)
        check_finite(*seen[-1])
        assert int(seen[-1][0].memory["skipped"]["tasks"]) == 1
    else:
        inner = test_numbers.Descent(test_numbers.SGD(0.1), 3, test_numbers.Zeros(), moments="batch")
        scout = test_numbers.Scout(3, 4, Tasks(3, 4, 0), inner)
        seen = test_numbers.learned(scout, data, Batched(), 3)
        check_finite(*seen[-1])
        assert seen[-1][0].memory["left_out"]["scouts"].tolist() == [at]
    if number < 6:
        config = config_of("maml", 30)
        config["learner"]["init_args"]["rule"] = {
            "class_path": "SGD",
            "init_args": {"lr": 10.0 ** (number + 1)},
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "due", lambda _: True)
            assert "diverge" in refused("run", commands.written(place, config), "--runs", place / "runs")
        for file in place.rglob("last.ckpt"):
            check_finite(store.load_checkpoint(file)[0], {})


def fuzzed(name: str) -> Any:
    """Random cases of a property (see tests/trust/fuzz.py), other ones than the tests draw."""

    def hits(folder: Path, times: int) -> Iterator[Hit]:
        grown, found = ground.made(folder), list[Hit]()
        drawn, holds = fuzz.properties(grown)[name]

        @settings(max_examples=100, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(drawn)
        def hundred(case: Any) -> None:
            try:
                holds(grown, case)
            except UnsatisfiedAssumption:  # it is no case
                raise
            except Exception as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())
                found.append(Hit(f"{said[:200]} of {case!r}"[:400]))
            else:
                found.append(Hit())

        for number in itertools.count(1):
            found.clear()
            seed(number)(hundred)()
            yield from found

    return hits


CORRUPTED = tuple(fuzz.IN_A_RUN)
ROWS = (
    *[Row(f"kill -9: {name}", 50, killed(name)) for name in LEARNERS],
    *[Row(f"corrupted: {name}", 100, corrupted(name)) for name in CORRUPTED],
    Row("corrupted: data archive and cache", 200, corrupted_data),
    Row("corrupted: delta", 500, corrupted_delta),
    Row("disk: no file beyond a random size", 20, limited),
    Row("disk: full", 10, full),
    Row("directory: vanished, moved, taken, read-only", 25, vanished),
    Row("clock: jumps", 20, each(clock)),
    Row("two users, a dead one's lock", 10, each(two_users)),
    Row("numbers: NaN and infinity", 150, each(poisoned)),
    *[Row(f"fuzz: {name}", round(CASES * fuzz.SHARES[name]), fuzzed(name)) for name in fuzz.SHARES],
)  # fmt: skip
