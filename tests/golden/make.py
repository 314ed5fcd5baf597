"""What lies in `formats/`, and the program that wrote it: a file of every saved format, by version.

    python tests/golden/make.py

writes `formats/v<version>/<name>` where it is not there and this metatl writes that version of that format,
which is done once, when a version is new: files of older ones are never made again. Contents are arithmetic,
the same on every machine, and told again by the functions below, so that a test can say that every bit came
back. `first-days` holds what version 1 looked like before fields were added that its readers do without.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from metatl.data.cache import Arrays, checksum
from metatl.evaluation.evaluate import Report
from metatl.lab import cli, store
from metatl.lab.run.learn import VERSION as LEARNED
from metatl.lab.store import reports
from metatl.lab.store.tensors import VERSIONS, flat, orders, write_tensors
from metatl.learners import State
from metatl.types import Params, Transfer

FORMATS = Path(__file__).with_name("formats")
NOTES = {"labels": '["left", "right", 3]'}
EXPERIMENT: dict[str, Any] = {
    "name": "maml",
    "data": {"class_path": "Sinusoid"},
    "model": {"class_path": "MLP", "init_args": {"hidden": [4]}},
    "learner": {
        "class_path": "Episodic",
        "init_args": {"steps": 4, "meta_batch": 2, "tasks": {"shot": 4, "query": 4}},
    },
    "adaptation": {"steps": 1, "rule": {"class_path": "SGD", "init_args": {"lr": 0.01}}},
    "select": {"rule.lr": [0.01, 0.02]},
    "evaluation": {"tasks": {"shot": 4, "query": 4}, "episodes": 4, "select_episodes": 2},
    "record_every": 2,
}


def _memory(name: str) -> Params:
    """What a rule goes on from."""
    return {f"second.{name}": torch.arange(12).view(3, 4) / 19, f"mass.{name}": torch.tensor(0.5)}


def transfer(memory: bool = False) -> Transfer:
    """Weights, guides and buffers of every type that is stored, odd numbers and odd shapes among them."""
    odd = torch.tensor([0.0, -0.0, 1e-40, 3.4e38, float("inf"), -float("inf")])
    params = {
        "body.0.weight": (torch.arange(12) / 7 - 0.8).view(3, 4),
        "body.0.bias": odd[:3],
        "norm.weight": odd.double(),
        "half": (torch.arange(5) / 3).half(),
        "brain": (torch.arange(5) / 3).bfloat16().view(5, 1),
        "none": torch.zeros(0, 3),
        "head.weight": (torch.arange(6) / 11).view(2, 3).mT,
    }
    guide = {name: torch.tensor(1.0) for name in params}
    guide["body.0.weight"] = (torch.arange(4) / 4).expand(3, 4)
    buffers = {"norm.running_mean": odd[:2] + 1, "norm.num_batches_tracked": torch.tensor(2**40)}
    return Transfer(params, guide, buffers, _memory("body.0.weight") if memory else {})


def personal(memory: bool = False) -> Transfer:
    """The same with a few weights moved and a fresh head: what the delta tells."""
    base = transfer()
    weight = base.params["body.0.weight"].clone()
    weight[1, 2], weight[2, 0] = 0.25, -3.0
    params = {**base.params, "body.0.weight": weight, "head.weight": torch.arange(4).view(4, 1) / 13}
    return replace(transfer(memory), params=params)


def halves(memory: bool = False) -> tuple[Transfer, Transfer]:
    """A base, and the same with changes that float16 holds exactly."""
    base = {"a.weight": (torch.arange(12) / 7).view(3, 4), "a.bias": torch.arange(3) / 1.0}
    moved = {"a.weight": base["a.weight"], "a.bias": base["a.bias"] + torch.tensor([0.5, 0.0, -2.0])}
    guide = {name: torch.tensor(1.0) for name in base}
    return Transfer(base, guide), Transfer(moved, guide, {}, _memory("a.weight") if memory else {})


def state(memory: bool = False) -> State:
    """A learner's state with moments, counts and sums."""
    carried = transfer(memory)
    own = {
        "rule": {"mu::body.0.weight": torch.arange(12).view(3, 4) / 17, "count": torch.tensor(5)},
        "sum": {"body.0.bias": torch.tensor([1e-9, 2.0, -3.0])},
        "left_out": {"scouts": torch.tensor([7, 11])},
    }
    return State(carried, 5, own)


def report() -> Report:
    """Scores, and what they were taken on."""
    protocol = {
        "data": "glyphs", "split": "meta_test", "way": 5, "shot": 1, "query": 15, "seed": 0, "episodes": 7,
        "episodes_hash": "0123456789abcdef", "score": "accuracy", "moments": "support", "transductive": False,
        "steps": 3,
    }  # fmt: skip
    facts = {"trainable": 12, "ms_per_task": 0.5, "selected": {"rule.lr": 0.1}, "family": "other"}
    return Report("maml", np.arange(7) / 9, protocol, facts)


def cache() -> Arrays:
    """What a data set keeps in the cache."""
    return {"meta_train": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "sizes": np.array([1, 2])}


def _run(folder: Path) -> None:
    """What lies in a run directory and says nothing of a machine."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        Path("maml.yaml").write_text(yaml.safe_dump(EXPERIMENT))
        assert cli.main(["run", "maml.yaml"]) == 0
        (made,) = Path("runs/maml").iterdir()
        for name in ("config.yaml", "transfer.safetensors", "learned.json", "metrics.jsonl", "report.json",
                     "episodes.npy"):  # fmt: skip
            (folder / made.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(made / name, folder / made.name / name)


def _transfer(path: Path, memory: bool) -> None:
    store.save_transfer(path, transfer(memory), {"digest": "0123456789"})


def _checkpoint(path: Path, memory: bool) -> None:
    store.save_checkpoint(path, state(memory), 1.5)


def _exact(path: Path, memory: bool) -> None:
    store.save_delta(path, transfer(), personal(memory), "exact", NOTES)


def _half(path: Path, memory: bool) -> None:
    store.save_delta(path, *halves(memory), "half")


def _either(kind: str, write: Callable[[Path, bool], None]) -> dict[int, Callable[[Path], object]]:
    """The newest version holds a rule's memory, the one before does without."""
    newest = VERSIONS[kind]
    return {newest - 1: partial(write, memory=False), newest: partial(write, memory=True)}


WRITES: dict[str, dict[int, Callable[[Path], object]]] = {
    "transfer.safetensors": _either("transfer", _transfer),
    "last.ckpt": _either("checkpoint", _checkpoint),
    "exact.delta": _either("delta", _exact),
    "half.delta": _either("delta", _half),
    "report": {reports.VERSION: lambda path: store.save_report(path, report())},
    "cache.npz": {1: lambda path: np.savez(path, **cache(), checksum=np.array(checksum(cache())))},
    "run": {LEARNED: _run},
}
"""Formats by the name of their fixtures: the versions that are written, and how; run: a whole run folder."""


def write(formats: Path) -> list[Path]:
    """Every format as it is written now, where it is not there."""
    places = {
        formats / f"v{version}" / name: writes
        for name, versions in WRITES.items()
        for version, writes in versions.items()
    }
    missing = [place for place in places if not place.exists()]
    for place in missing:
        place.parent.mkdir(parents=True, exist_ok=True)
        places[place](place)
    return missing


def write_first_days(folder: Path) -> None:
    """Version 1 without what came later: the header's checksum, the report's, seconds of the starts."""
    folder.mkdir(parents=True)
    names = {"names": json.dumps(orders(transfer()))}
    write_tensors(folder / "transfer.safetensors", "transfer", flat(transfer()), names)
    whole = (folder / "transfer.safetensors").read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:size])
    del header["__metadata__"]["sha256_header"]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "transfer.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + whole[size:])
    store.save_report(folder, report())
    value = json.loads((folder / "report.json").read_text())
    del value["sha256"]
    store.write_json(folder / "report.json", value)
    store.write_json(folder / "learned.json", {"seconds": 2.5})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for place in write(FORMATS):
        print(f"written: {place.relative_to(FORMATS.parent.parent.parent)}")
    if not (FORMATS / "first-days").exists():
        write_first_days(FORMATS / "first-days")
