"""What a run is named by: everything that its numbers depend on.

    digest = SHA-256(config of what is learned, inputs)
    inputs = content of the data, source of the user's own classes, content of the files that values name

The config says which files and classes, the inputs what is in them; a part of the inputs that is empty is
left out. So data that the config's own values fix (`Source.embedded`: glyphs, sinusoid, patterns) adds
nothing, nor do values that name only torch's and metatl's classes: such runs keep the names that they had
before inputs were looked at. For the same reason plain gradient descent is described by its fields alone, as
it was when it was the only adaptation, and fields that came later (`LATER`) are left out at values that
change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from metatl import tree
from metatl.adapt import Descent
from metatl.data.source import SPLITS, Data, Source
from metatl.lab import config
from metatl.lab.run.sources import each, files, placeless, sources
from metatl.types import MetatlError

EXPERIMENT = "metatl.lab.experiment.Experiment"
_DESCENT = f"{Descent.__module__}.{Descent.__qualname__}"
LATER: dict[str, dict[str, Any]] = {
    EXPERIMENT: {"transforms": []},
    "metatl.learners.episodic.Episodic": {
        "skip_bad_tasks": False,
        "aggregate": {"class_path": "metatl.aggregates.mean.Mean", "init_args": {}},
        "objective": {"class_path": "metatl.objectives.task_loss.TaskLoss", "init_args": {"weight": 1.0}},
        "clip_norm": None,
    },
    "metatl.learners.scout.Scout": {"directions": 0, "labels": "own", "again": 0},
    "metatl.learners.supervised.Supervised": {
        "streams": {},
        "clip_norm": None,
        "views": [],
        "balance": None,
        "aggregate": None,
    },
    "metatl.objectives.of_target.OfTarget": {"outputs": None, "layer": "features"},
    "metatl.objectives.dann.DANN": {"layer": "features"},
    "metatl.objectives.cdan.CDAN": {"layer": "features"},
    "metatl.transforms.lora.LoRA": {"dropout": 0.0, "kernels": False},
    "metatl.transforms.dora.DoRA": {"kernels": False},
    "evaluation": {"score": None, "calibrated": False},
    _DESCENT: {
        "shuffle": False,
        "schedule": "constant",
        "clip_norm": None,
        "views": [],
        "stopping": None,
        "balance": None,
        "anew": "never",
        "average": 1.0,
    },
    "metatl.guides.norms.Norms": {"head": True},
    "metatl.guides.depth_decay.DepthDecay": {"by": "layer", "parts": None},
    "metatl.guides.unfreeze.Unfreeze": {"by": "layer", "parts": None},
    "metatl.guides.grad_norm.RelativeGradNorm": {"batch_size": None, "batches": 5, "ranked": "body"},
    "metatl.models.in_context_transformer.InContextTransformer": {"filters": 0, "likeness": 0.0},
    "metatl.models.cnn.CNN": {"kernels": [3], "strides": [2]},
    "metatl.data.sinusoid.Sinusoid": {"noise": 0.0},
    "metatl.data.streams.Domain": {"views": [], "key": 0},
    "metatl.adapt.laplace.Laplace": {"covariance": "auto"},
    "metatl.adapt.closed_form.ClosedForm": {"growing": False},
    "metatl.data.arrays.Arrays": {"smallest": 0, "channels": None},
    "metatl.data.arrays.ImageFolder": {"smallest": 0},
    "metatl.data.group_arrays.GroupArrays": {
        "target": "y",
        "names": None,
        "smallest": 0,
        "scale": None,
        "standardise": False,
    },
    "metatl.data.tables.source.Table": {"audio": None},
    "metatl.data.sentences.Sentences": {"group": None, "apart": None, "join": 1},
}
"""Fields that came after runs had been learned without them, at values that change nothing.

By class, or by place in the experiment where a value is none of a family's.
"""
LEARNED = ("data", "model", "transforms", "learner", "guide", "head", "seed")
EVALUATED = ("adaptation", "evaluation", "select")


def plain(described: Any) -> Any:
    """A description as names are made of it: `Descent` by its fields alone, nothing of LATER, no places."""
    return each(each(described, placeless), _nameless)


def _nameless(value: dict[str, Any]) -> Any:
    later, given = LATER.get(str(value.get("class_path")), {}), value.get("init_args")
    if later and isinstance(given, dict):
        own = cast(dict[str, Any], given)
        value["init_args"] = {k: v for k, v in own.items() if not (k in later and v == later[k])}
    return value["init_args"] if value.get("class_path") == _DESCENT else value


def inputs(
    described: Mapping[str, Any], source: Source, data: Data, kept: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a learned transfer depends on beside its config: {content, sources, files}, without empty ones.

    kept: copies of files that have gone, by the names that values give them.
    """
    told = None if source.embedded else data.describe().get("content")
    # What lies in the files of the data is told by its content, where it tells one.
    silent = told is None and not source.embedded
    named = {key: described[key] for key in LEARNED if silent or key != "data"}
    code = {key: described[key] for key in (*LEARNED, "engine")}
    content = _drawn(data) if silent else told
    found = {"content": content, "sources": sources(code), "files": files(named, kept)}
    return {key: value for key, value in found.items() if value}


def content(data: Data) -> str | None:
    """What tells data from others: their own fingerprint, or what they draw."""
    told = data.describe().get("content")
    return _drawn(data) if told is None else str(told)


def _drawn(data: Data) -> str | None:
    """Of data that tells no content: what the first rows of its splits hold."""
    told, any_rows = hashlib.sha256(), False
    for split in SPLITS:
        try:
            rows = data.batch(split, 64, 0, 0)
        except (MetatlError, LookupError):  # a split that is not there
            continue
        any_rows = True
        for leaf in tree.leaves((rows.x, rows.y)):
            told.update(repr((split, leaf.dtype, tuple(leaf.shape))).encode())
            told.update(leaf.cpu().contiguous().numpy().tobytes())
    return told.hexdigest()[:16] if any_rows else None


def learned(described: Mapping[str, Any], start: str | None, precision: str, found: Mapping[str, Any]) -> str:
    """The digest of what is learned. start: that of the run it starts from; found: its `inputs`."""
    later = LATER[EXPERIMENT]
    keys = [key for key in LEARNED if key not in later or described[key] != later[key]]
    value = {key: plain(described[key]) for key in keys} | {"start": start}
    if precision != "float32":
        value["precision"] = precision
    return config.digest(value | ({"inputs": found} if found else {}))


def evaluated(
    described: Mapping[str, Any],
    learned: str,
    other: Mapping[str, Any] | None,
    kept: Mapping[str, str] | None = None,
) -> str:
    """The digest of an evaluation of what was learned. other: of data that is not the run's own."""
    value: dict[str, Any] = {key: plain(described[key]) for key in EVALUATED}
    later = LATER["evaluation"]
    asked = cast(Mapping[str, Any], value["evaluation"])
    value["evaluation"] = {k: v for k, v in asked.items() if k not in later or v != later[k]}
    value["learned"] = learned
    code = [described[key] for key in EVALUATED]
    found = {"sources": sources(code), "files": files(code, kept)}
    found = {key: item for key, item in found.items() if item}
    return config.digest(value | ({"inputs": found} if found else {}) | ({"data": other} if other else {}))


def changed(before: Mapping[str, Any], now: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    """Which inputs differ from those that a run was learned from, by name.

    A file that has gone did not change: what needs it says so, and values that are no paths may be called as
    a file was.
    """
    told: list[str] = []
    for kind in kinds:
        one, two = before.get(kind), now.get(kind)
        if isinstance(one, Mapping):
            theirs = cast(Mapping[str, Any], two or {})
            gone = cast(Mapping[str, Any], one if kind == "files" else {})
            theirs = {**gone, **theirs}
            told += [
                name for name, value in cast(Mapping[str, Any], one).items() if theirs.get(name) != value
            ]
        elif one is not None and one != two:
            told.append("the data")
    return told
