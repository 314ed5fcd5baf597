"""Small experiments for tests of the command: a few steps, a few episodes, seconds in all."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import multiprocessing
import os
import random
import re
import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIMES = ("seconds_to_learn", "ms_per_task", "finished", "time/step_ms", "memory/peak_mib", "sha256")
"""What two runs of the same experiment may differ in."""
WAVES: dict[str, Any] = {
    "data": {"class_path": "Sinusoid"},
    "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
    "adaptation": {"steps": 1, "rule": {"class_path": "SGD", "init_args": {"lr": 0.01}}},
    "evaluation": {"tasks": {"shot": 4, "query": 4}, "episodes": 4, "select_episodes": 2},
    "record_every": 2,
}
GLYPHS: dict[str, Any] = {
    "data": {
        "class_path": "Glyphs",
        "init_args": {"train_classes": 6, "val_classes": 5, "test_classes": 5, "examples": 6, "size": 16},
    },
    "model": {"class_path": "Conv4", "init_args": {"filters": 2}},
    "adaptation": {"steps": 1, "head": {"class_path": "Zeros"}},
    "evaluation": {"tasks": {"way": 3, "shot": 1, "query": 2}, "episodes": 4, "select_episodes": 2},
    "record_every": 2,
}
INNER = {"steps": 1, "rule": {"class_path": "SGD", "init_args": {"lr": 0.01}}}
FRESH = {"steps": 2, "head": {"class_path": "Zeros"}, "batch_size": 4, "moments": "batch"}
SMALL = {"way": 3, "shot": 2, "query": 2}
# Every learner, and every kind of state: moments of Adam, learned guides, sums of scouts, running moments.
LEARNERS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "supervised": (GLYPHS, "Supervised", {"batch_size": 6}),
    "maml": (WAVES, "Episodic", {"meta_batch": 3, "tasks": {"shot": 4, "query": 4}, "adaptation": INNER}),
    "maml++": (
        GLYPHS,
        "Episodic",
        {
            "meta_batch": 2, "tasks": SMALL, "schedule": "cosine", "clip": 1.0,
            "adaptation": {**INNER, "steps": 2, "head": {"class_path": "Zeros"}},
            "learn": "init_and_guide", "guide": {"class_path": "PerStep", "init_args": {"steps": 2}},
            "multi_step": 3,
        },
    ),
    "lora": (
        {
            **GLYPHS, "model": {"class_path": "MLP"}, "adaptation": {"steps": 2},
            "transforms": [{"class_path": "LoRA", "init_args": {"r": 2}}],
        },
        "Episodic",
        {"meta_batch": 2, "tasks": SMALL, "adaptation": {**INNER, "steps": 2}},
    ),
    "protonet": (
        GLYPHS,
        "Episodic",
        {"meta_batch": 2, "tasks": SMALL, "adaptation": {"steps": 0, "head": {"class_path": "Prototypes"}}},
    ),
    "reptile": (GLYPHS, "Reptile", {"meta_batch": 2, "tasks": {**SMALL, "query": 0}, "adaptation": FRESH}),
    "scout": (GLYPHS, "Scout", {"scouts": 3, "tasks": {**SMALL, "query": 0}, "adaptation": FRESH}),
    "source-fisher": (
        GLYPHS,
        "SourceFisher",
        {"batch_size": 4, "shape": {"class_path": "TopK", "init_args": {"density": 0.9}}, "way": 3},
    ),
}  # fmt: skip


def config_of(name: str, steps: int = 6) -> dict[str, Any]:
    """The values of a small experiment with this learner, the caller's own to change."""
    values, learner, given = copy.deepcopy(LEARNERS[name])
    return {
        "name": name,
        **values,
        "learner": {"class_path": learner, "init_args": {"steps": steps, **given}},
    }


def written(folder: Path, values: Mapping[str, Any], file: str = "a.yaml") -> str:
    """The path of a config file with these values."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False))
    return str(path)


@dataclass(frozen=True)
class Said:
    """What a command said: exit code, standard output, standard error without lines of progress."""

    code: int
    out: str
    lines: list[str]


def metatl(*words: str | Path) -> Said:
    """The command in this process."""
    from metatl.lab import cli

    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as left:  # argparse, behind --help
            code = int(left.code or 0)
    lines = [line for line in error.getvalue().splitlines() if not re.search(r"\d/\d+ \(\d+ %\)", line)]
    return Said(code, out.getvalue(), lines)


def refused(*words: str | Path) -> str:
    """The one line of a command that was refused."""
    found = metatl(*words)
    assert found.code == 2, found
    assert len(found.lines) == 1, found
    line = found.lines[0]
    assert line.startswith("metatl: ")
    assert 20 < len(line) < 1000, line
    assert "Traceback" not in line
    return line


def small_cache(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """A cache directory of its own for data; compiled kernels take long to build and stay where they are."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    patch.setenv("METATL_CACHE", os.environ.get("METATL_CACHE") or str(home / "metatl"))
    patch.setenv("XDG_CACHE_HOME", str(folder))


def only(folder: Path) -> Path:
    """The one run directory under a folder of runs."""
    (found,) = [path.parent for path in sorted(folder.rglob("config.yaml"))]
    return found


def timeless(value: Any) -> Any:
    """Nested values without those that say how long something took."""
    if isinstance(value, Mapping):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def lines_of(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    return [timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]


def curve(run: Path, tag: str) -> list[tuple[int, float]]:
    """The curve that TensorBoard shows for a tag."""
    from metatl.lab.record import shown_tag

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # which tells of every restart
    board = EventAccumulator(str(run), size_guidance={"scalars": 0})
    board.Reload()
    tag = shown_tag(tag)
    return (
        [(event.step, event.value) for event in board.Scalars(tag)] if tag in board.Tags()["scalars"] else []
    )


def assert_same_run(one: Path, other: Path) -> None:
    """The same transfer bit by bit, the same metrics, scores and curves."""
    assert (one / "transfer.safetensors").read_bytes() == (other / "transfer.safetensors").read_bytes()
    assert lines_of(one) == lines_of(other)
    if (other / "report.json").is_file():
        assert (one / "episodes.npy").read_bytes() == (other / "episodes.npy").read_bytes()
        reports = [timeless(json.loads((run / "report.json").read_text())) for run in (one, other)]
        assert reports[0] == reports[1]
    tags = {tag for line in lines_of(other) for tag in line} - {"step"}
    for tag in tags:
        assert curve(one, tag) == curve(other, tag), tag


def in_process(
    words: Sequence[str | Path], log: Path, every: float | None = None, **faults: Any
) -> ForkServerProcess:
    """The command in a process of its own, forked from one that has imported everything: a tenth of a second.

    every: seconds between two checkpoints; faults: see `one_command`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["metatl.lab.commands", "torch.utils.tensorboard"])
    given = ([str(word) for word in words], str(log), every, dict(os.environ), faults)
    script = str(Path(__file__).with_name("one_command.py"))
    process = context.Process(target=runpy.run_path, args=(script, {"given": given}))
    process.start()
    return process


def killed_until_done(
    words: Sequence[str | Path], log: Path, kills: int, seed: int = 0, longest: float = 0.6, **faults: Any
) -> int:
    """Start the command again and again, kill it at random moments, then let it end; how often it was hit."""
    draw, hit = random.Random(seed), 0
    for _ in range(kills):
        process = in_process(words, log, every=0.0, **faults)
        process.join(draw.uniform(0.02, longest))
        if process.exitcode is None:
            process.kill()
            process.join()
            hit += 1
        else:
            break
    process = in_process(words, log, every=0.0, **faults)
    process.join(60)
    assert process.exitcode == 0, log.read_text()[-3000:]
    return hit
