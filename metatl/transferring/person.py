"""What the commands `personalise` and `predict --delta` do and print."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl import importing
from metatl.data.examples import Inputs
from metatl.data.table_rows import TableRows
from metatl.data.tables import read_table
from metatl.data.tables.columns import missing
from metatl.data.tables.target import class_names
from metatl.data.targets import Kind
from metatl.data.texts import Texts
from metatl.lab import store
from metatl.personalise import apply_delta, load
from metatl.text import say
from metatl.transferring.doubt import doubts
from metatl.transferring.model import SavedModel
from metatl.transferring.open_model import open_model
from metatl.transferring.personalise import (
    check_known,
    personalise_model,
    personalise_run,
    saved_at,
)
from metatl.transferring.predict import Predicting, Prediction, cells
from metatl.types import MetatlError


def personalise(words: argparse.Namespace) -> None:
    """`metatl personalise`: a delta of what moved, and the command that uses it."""
    folder, examples, out = Path(words.base), Path(words.examples), Path(words.out)
    if not folder.is_dir():
        raise MetatlError(f"{folder}: no such folder; name a run directory, or what 'metatl transfer' wrote")
    if not examples.exists():
        raise MetatlError(f"{examples}: no such file or folder; name somebody's labelled rows")
    model = saved_at(folder)
    if model is None:
        person = personalise_run(folder, examples, words.trust)
        person.save_delta(out)
        count = len(person.support.y) if isinstance(person.support.y, Tensor) else 0
    else:
        count = _save(open_model(model, words.own, words.trust), examples, words.target, out)
    size = out.stat().st_size
    say(f"written: {out}, {size} bytes, adapted to {count} rows")
    own = f" --own {words.own}" if words.own else ""
    say(f"use it: metatl predict {words.base} NEW --delta {words.out}{own} --out predictions.csv")


def _save(model: SavedModel, examples: Path, target: str | None, out: Path) -> int:
    """A saved model adapted to examples; how many they are."""
    inputs, labels = _labelled(model, examples, target)
    if not len(inputs):
        raise MetatlError(f"{examples}: no labelled {model.reader.unit}; give one or more")
    if model.kind == "classes":
        check_known(tuple(labels), model.names, examples)
        y: Tensor = torch.tensor([model.names.index(one) for one in labels])
    else:
        y = torch.tensor(labels, dtype=torch.float64)
    if inputs.columns is not None:
        x: Any = model.preparation(inputs.columns)
    else:
        x = model.preparation.stacked([model.preparation(inputs.raw(i)) for i in range(len(inputs))])
    base, made = personalise_model(model, x, y)
    store.save_delta(out, base, made)
    return len(inputs)


def _labelled(model: SavedModel, place: Path, target: str | None) -> tuple[Inputs, list[Any]]:
    """The rows of a file or folder that have a target, and these: names of classes, or values."""
    if model.kind == "labels":
        raise MetatlError("a model of several labels at once is not adapted here; take one of classes")
    inputs = model.reader.read([place])
    if place.is_dir() or not isinstance(inputs, TableRows | Texts) or place.suffix == ".txt":
        return inputs, [Path(name).parent.name for name in inputs.ids]
    table = read_table(place, formats=getattr(model.reader, "formats", {}))
    names = list(model.names) if model.kind == "real" else [] if target is None else [target]
    if not names:
        raise MetatlError(f"{place}: which column holds the classes? Name it with --target")
    table.require(names)
    held = ~np.any([missing(table[name]) for name in names], 0)
    kept = np.array([i for i in np.flatnonzero(held) if int(i) not in inputs.lost], np.int64)
    if model.kind == "real":
        return inputs.take(kept), np.stack([table[name][kept].astype(float) for name in names], 1).tolist()
    return inputs.take(kept), class_names(table.take(kept), names[0])


@dataclass(frozen=True)
class OfRun:
    """A person's model of a run directory as a table of predictions knows it."""

    names: tuple[str, ...]
    id_name: str
    kind: Kind = "classes"
    spreads: bool = False
    deviations: tuple[float, ...] = ()


def predicted(words: argparse.Namespace) -> tuple[Predicting, list[Prediction], str]:
    """Predictions of a run directory with a delta; what they are of, and what a row is called."""
    with importing.received(words.trust):
        return _predicted(words)


def _predicted(words: argparse.Namespace) -> tuple[Predicting, list[Prediction], str]:
    folder, found = Path(words.model), list[Prediction]()
    base = load(folder, words.trust)
    person = apply_delta(base, words.delta)
    assert base.source is not None
    told, unit = OfRun(tuple(map(str, person.labels)), "row"), "row"
    for place in map(Path, words.data):
        rows = base.source.further(place, base.source.load(), labelled=False)
        outputs = person.outputs(rows.x) if rows.ids else []
        unsure = doubts("classes", torch.stack(list(outputs))).tolist() if rows.ids else []
        lines = zip(rows.ids, outputs, unsure, strict=True)
        here = [Prediction(i, cells(told, row), doubt) for i, row, doubt in lines]
        for at, name in rows.lost:
            say(f"metatl: {name}: cannot be read", sys.stderr)
            here.insert(at, Prediction(name, None))
        found += here
        told, unit = replace(told, id_name=rows.id_name), rows.unit
    return told, found, unit
