"""Properties that hold whatever is given: a result or one line, and never a result that is wrong."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import assume
from hypothesis import strategies as st

from metatl.data import Arrays, ImageFolder
from metatl.data.archives import members
from metatl.data.mnist import read_idx
from metatl.evaluation.evaluate import Report
from metatl.lab import store
from metatl.lab.store.tensors import digest, flat, write_tensors
from metatl.learners import State
from tests.commands import LEARNERS, config_of
from tests.trust import strategies as given
from tests.trust.ground import Ground, command, lands, same

Property = Callable[[Ground, Any], None]
CONFIGS = {name: config_of(name, 2) for name in LEARNERS}
BASE = yaml.safe_dump(CONFIGS["maml"]).encode()
MOST_STEPS = 8


def endless(values: Any) -> bool:
    """Whether it asks for more work than a test has time for, by a number of its own."""
    if isinstance(values, dict):
        return any(
            (key in ("steps", "multi_step", "validate_every") and _large(value)) or endless(value)
            for key, value in values.items()
        )
    return isinstance(values, list) and any(map(endless, values))


def _large(value: Any) -> bool:
    try:
        return float(value) > MOST_STEPS
    except (TypeError, ValueError, OverflowError):
        return not isinstance(value, str | None) and endless(value)


def run(ground: Ground, *words: str | Path) -> int:
    """The command on these words, in a folder of runs that is empty."""
    runs = ground.folder / "fuzzed"
    shutil.rmtree(runs, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metatl.lab.record.record_guide", lambda *_: None)  # pictures take seconds
        code = command("run", *words, "--runs", runs, "--learn-only")
    assert code == 0 or not list(runs.rglob("transfer.safetensors"))
    return code


def config_values(ground: Ground, values: Any) -> None:
    """A config of which values were changed."""
    assume(not endless(values))
    path = ground.folder / "fuzz.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    run(ground, path)


def config_text(ground: Ground, text: bytes) -> None:
    """A config file with any bytes."""
    path = ground.folder / "fuzz.yaml"
    path.write_bytes(text)
    try:
        values = yaml.safe_load(text)
    except Exception:  # which is what is looked at
        values = None
    assume(not endless(values))
    run(ground, path)


def overrides(ground: Ground, words: list[tuple[str, str]]) -> None:
    """Words behind a config."""
    assume(not any("steps" in value for _, value in words))
    run(ground, ground.config, *[word for key, value in words for word in (f"--{key}", value)])


def words(ground: Ground, said: list[str]) -> None:
    """Any words behind a subcommand."""
    assume(not any("steps" in word for word in said))
    ground.fresh()
    known = {"CONFIG": str(ground.config), "RUN": str(ground.run), "NONE": "nowhere"}
    command(*[known.get(word, word) for word in said])


def packed(ground: Ground, content: bytes) -> None:
    """A zip archive."""
    path = _file(ground, "fuzz.zip", content)
    lands(lambda: list(members(path, ".png")))


def npz(ground: Ground, content: bytes) -> None:
    """An npz file, harmed."""
    path = _file(ground, "fuzz.npz", content)
    lands(lambda: Arrays(str(path)).load())


def labelled(ground: Ground, content: dict[str, Any]) -> None:
    """An npz file that is whole and holds anything."""
    path = ground.folder / "fuzz.npz"
    np.savez(path, **content)
    found = lands(lambda: Arrays(str(path)).load())
    assert isinstance(found, str) or all(bool(bank.x.isfinite().all()) for bank in found.banks.values())


def idx(ground: Ground, case: tuple[str, bytes]) -> None:
    """An idx file, plain or gzipped."""
    path = _file(ground, "fuzz" + case[0], case[1])
    lands(lambda: read_idx(path))


def pictures(ground: Ground, case: tuple[str, bytes]) -> None:
    """A folder of images of which one was harmed."""
    name, content = case
    for letter in "abcde":
        _file(ground, f"images/{letter}/whole.png", ground.files["picture.png"])
    path = _file(ground, f"images/a/{name}", content)
    lands(lambda: ImageFolder(str(ground.folder / "images"), 8).load())
    path.unlink()


def tensors(ground: Ground, case: tuple[str, bytes]) -> None:
    """A saved transfer, checkpoint or delta, harmed: the very bits, or a line."""
    name, content = case
    path, loaded = _file(ground, f"fuzzed-{name}", content), _loader(ground, name)
    found = lands(lambda: loaded(path))
    if not isinstance(found, str):
        assert same(found, loaded(_file(ground, f"whole-{name}", ground.files[name])))


def _loader(ground: Ground, name: str) -> Callable[[Path], Any]:
    if name == "a.delta":
        return lambda path: store.load_delta(path, ground.base)[0]
    return (
        store.load_transfer if name.startswith("transfer") else lambda p: store.load_checkpoint(p)[0].transfer
    )


def notes(ground: Ground, case: tuple[str, dict[str, str], dict[str, Any]]) -> None:
    """A file of tensors whose checksums fit and whose notes say anything."""
    kind, said, held = case
    if kind == "delta":
        said = {"base": digest(flat(ground.base)), "precision": "exact", "result": "", **said}
    path = ground.folder / "fuzz.safetensors"
    write_tensors(path, kind, {name: torch.from_numpy(np.asarray(leaf)) for name, leaf in held.items()}, said)
    lands(lambda: store.load_transfer(path))
    found = lands(lambda: store.load_checkpoint(path))
    assert isinstance(found, str) or isinstance(found[0], State)
    lands(lambda: store.load_delta(path, ground.base))


def in_a_run(ground: Ground, case: tuple[str, bytes]) -> None:
    """A run directory of which one file was harmed."""
    name, content = case
    place = ground.fresh()
    (place / name).write_bytes(content)
    if name in ("transfer.safetensors", "learned.json", "last.ckpt"):
        (place / "report.json").unlink(missing_ok=True)
    if name == "last.ckpt":
        (place / "transfer.safetensors").unlink()
    for said in (
        ["run", ground.config, "--runs", place.parent.parent],
        ["evaluate", place],
        ["compare", place],
    ):
        command(*said)


def reported(ground: Ground, case: tuple[Any, bool]) -> None:
    """A report that says anything, with or without the checksum of today."""
    values, summed = case
    place = ground.fresh()
    if isinstance(values, dict) and not summed:
        values.pop("sha256", None)
    (place / "report.json").write_text(json.dumps(values))
    found = lands(lambda: store.load_report(place))
    assert isinstance(found, Report | str)
    if isinstance(found, Report):
        assert not math.isnan(found.mean)
    for said in (["compare", place, place], ["run", ground.config, "--runs", place.parent.parent]):
        command(*said)


def _file(ground: Ground, name: str, content: bytes) -> Path:
    path = ground.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


KEYS = [
    *("seed", "name", "device", "engine", "model", "model.init_args.hidden", "learner", "learner.meta_batch"),
    *("learner.tasks.shot", "learner.adaptation.rule.lr", "learner.rule", "data", "data.init_args.amplitude"),
    *("adaptation", "select", "evaluation", "evaluation.chunk", "head", "start", "guide", "precision", "x"),
]
SAID = [
    *(
        "run",
        "evaluate",
        "compare",
        "benchmark",
        "CONFIG",
        "RUN",
        "NONE",
        "--help",
        "--seed",
        "1",
        "--learn-only",
    ),
    *("--print_config", "--reference", "maml", "--", "-", "--x=1", "--evaluation.episodes", "2", "--config"),
]
IN_A_RUN = [
    *("transfer.safetensors", "report.json", "episodes.npy", "learned.json", "last.ckpt", "config.yaml"),
    "metrics.jsonl",
]


def properties(ground: Ground) -> dict[str, tuple[st.SearchStrategy[Any], Property]]:
    """By name: how cases are drawn, and what holds of each."""
    files = ground.files
    report = json.loads(files["report.json"])
    text = st.text(max_size=30) | st.sampled_from(given.WORDS)
    yamls = st.one_of(st.binary(max_size=60), text.map(str.encode), given.harmed(BASE))
    pairs = st.tuples(st.sampled_from(KEYS), text | given.junk.map(lambda v: yaml.safe_dump(v).strip()))
    formats = st.sampled_from([name for name in files if name.startswith("picture")])
    said = st.dictionaries(
        st.sampled_from(["names", "step", "seconds", "base", "precision", "counts", "whole", "result"]),
        text | given.junk.map(json.dumps), max_size=6,
    )  # fmt: skip
    leaves = st.dictionaries(
        st.sampled_from(
            ["params::w", "guide::w", "memory::m::w", "rule::v.w", "places", "units", "items4", "changes"]
        ),
        given.arrays.arrays(np.float32, given.arrays.array_shapes(max_dims=2, max_side=3)), max_size=3,
    )  # fmt: skip
    kinds = st.sampled_from(["transfer", "checkpoint", "delta"])
    harm = st.sampled_from
    return {
        "configs: values": (harm(list(CONFIGS.values())).flatmap(given.changed), config_values),
        "configs: text": (yamls, config_text),
        "configs: overrides": (st.lists(pairs, min_size=1, max_size=3), overrides),
        "command: words": (st.lists(harm(SAID) | text, min_size=1, max_size=5), words),
        "archives: zip": (given.harmed(files["a.zip"]), packed),
        "archives: npz": (given.harmed(files["a.npz"]), npz),
        "archives: arrays": (given.labelled, labelled),
        "archives: idx": (harm(["a-idx", "a.gz"]).flatmap(
            lambda name: given.harmed(files[name]).map(lambda found: (name[1:], found))), idx),
        "archives: images": (formats.flatmap(
            lambda name: given.harmed(files[name]).map(lambda found: (name, found))), pictures),
        "saved: tensors": (harm(["transfer.safetensors", "last.ckpt", "a.delta"]).flatmap(
            lambda name: given.harmed(files[name]).map(lambda found: (name, found))), tensors),
        "saved: notes": (st.tuples(kinds, said, leaves), notes),
        "saved: run": (harm(IN_A_RUN).flatmap(
            lambda name: given.harmed(files[name]).map(lambda found: (name, found))), in_a_run),
        "saved: report": (st.tuples(given.changed(report), st.booleans()), reported),
    }  # fmt: skip


SHARES = {
    "configs: values": 0.12,
    "configs: text": 0.08,
    "configs: overrides": 0.08,
    "command: words": 0.04,
    "archives: zip": 0.1,
    "archives: npz": 0.06,
    "archives: arrays": 0.08,
    "archives: idx": 0.08,
    "archives: images": 0.1,
    "saved: tensors": 0.14,
    "saved: notes": 0.09,
    "saved: run": 0.01,
    "saved: report": 0.02,
}
"""Of all cases, by property."""
