"""Predictions of a saved model, a line for every row."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Inputs
from metatl.data.targets import Kind
from metatl.objectives.predictive import Predictive
from metatl.transferring.doubt import doubts
from metatl.transferring.features import BATCH
from metatl.transferring.judging import figures
from metatl.transferring.model import SavedModel
from metatl.transferring.prepared import reads, remarks, whole
from metatl.types import MetatlError

ENDS, LEVEL = ("low", "high"), 0.95
"""Of the interval of a real value, after its name; the share of values that it should hold."""
PLACES = ("", "second_", "third_")
"""Before the column names of the first, second and third label."""


@dataclass(frozen=True)
class Prediction:
    """What is said of a row: its name, and the cells of the line; None for a row that has no prediction.

    unsure: what is larger the less the model knows (`doubts`).
    """

    id: str
    cells: tuple[str, ...] | None
    unsure: float = math.inf


def predict(
    model: SavedModel, places: Sequence[Path], unreadable: Callable[[str], None] = lambda why: None
) -> list[Prediction]:
    """Predictions in the order of the rows; what has none is told, and stands there without one.

    That is a row that cannot be read, or whose outputs are not finite. Raises MetatlError for a place that
    is not there, and where no row is left.
    """
    inputs = model.reader.read(places)
    if not reads(model.preparation, inputs):
        raise MetatlError(
            f"{', '.join(map(str, places))}: these are {inputs.unit}s, and the model reads "
            f"{model.preparation.unit}s; give it more like those that it was fitted to"
        )
    found: list[Prediction] = []
    read = () if inputs.columns is None else inputs.columns.notes
    for note in (*read, *remarks(model.preparation, inputs)):
        unreadable(note)
    for first in range(0, len(inputs), BATCH):
        found += _batch(model, inputs, list(range(first, min(first + BATCH, len(inputs)))), unreadable)
    if not any(one.cells is not None for one in found):
        where, unit = ", ".join(str(place) for place in places), model.reader.unit
        raise MetatlError(f"{where}: no {unit} could be read and predicted; name {unit}s or folders of them")
    return found


def _batch(
    model: SavedModel, inputs: Inputs, places: list[int], unreadable: Callable[[str], None]
) -> list[Prediction]:
    found: dict[int, tuple[tuple[str, ...] | None, float]] = {}
    read, x = prepared(model, inputs, places, unreadable)
    outputs = model.outputs(x) if read else torch.zeros(0, 1)
    spread = model.spread(x) if read and model.spreads else None
    unsure = doubts(model.kind, outputs, spread).tolist()
    for i, place in enumerate(read):
        if bool(outputs[i].isfinite().all()):
            ends = () if spread is None else between(outputs[i], spread[i], model.deviations)
            found[place] = (*cells(model, outputs[i]), *ends), unsure[i]
        else:
            unreadable(f"{inputs.ids[place]}: the prediction is not finite, so that it says nothing")
    return [Prediction(inputs.ids[place], *found.get(place, (None, math.inf))) for place in places]


def prepared(
    model: SavedModel, inputs: Inputs, places: list[int], unreadable: Callable[[str], None]
) -> tuple[list[int], Any]:
    """Those of the rows that can be read, as the net takes them; why others cannot is told."""
    if whole(model.preparation, inputs) is not None:
        for place in places:
            if place in inputs.lost:
                unreadable(inputs.lost[place])
        there = [place for place in places if place not in inputs.lost]
        some = inputs.take(np.array(there, np.int64))
        return there, model.preparation(whole(model.preparation, some))
    read: list[tuple[int, Any]] = []
    for place in places:
        try:
            read.append((place, model.preparation(inputs.raw(place))))
        except MetatlError as error:
            unreadable(str(error))
    return [place for place, _ in read], model.preparation.stacked([x for _, x in read]) if read else None


class Predicting(Protocol):
    """What a table of predictions has to know: a saved model, or a person's of a run."""

    @property
    def kind(self) -> Kind:
        """Of the targets."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the targets."""
        ...

    @property
    def id_name(self) -> str:
        """Of the column that names rows."""
        ...

    @property
    def spreads(self) -> bool:
        """Whether it says how far real targets may lie from its outputs."""
        ...

    @property
    def deviations(self) -> Sequence[float]:
        """Of the real targets that it was fitted to, by which their digits are told."""
        ...


def columns(model: Predicting) -> list[str]:
    """The names of a line's cells, after that of the row."""
    if model.kind == "classes":
        return [f"{place}{what}" for place in PLACES for what in ("label", "probability")]
    if model.kind == "real":
        return [*model.names, *(f"{name}_{end}" for name in model.names for end in ENDS if model.spreads)]
    return ["labels", *model.names]


def cells(model: Predicting, row: Tensor) -> tuple[str, ...]:
    """Of a row [outputs] labels by probability, the most probable first; all probabilities; or values."""
    if model.kind == "real":
        return _figures(row.tolist(), model.deviations)
    if model.kind == "labels":
        sure = row.sigmoid().tolist()
        named = [name for name, p in zip(model.names, sure, strict=True) if p >= 0.5]
        return (";".join(named), *(f"{p:.6f}" for p in sure))
    sure = row.softmax(-1).sort(descending=True, stable=True)
    found: list[str] = []
    for i in range(len(PLACES)):
        there = i < len(model.names)
        found += [model.names[int(sure.indices[i])], f"{float(sure.values[i]):.6f}"] if there else ["", ""]
    return tuple(found)


def between(row: Tensor, spread: Tensor, deviations: Sequence[float]) -> tuple[str, ...]:
    """The ends of the 95 % interval of every value [outputs], lower and upper in turn."""
    ends = torch.stack(Predictive(row, spread).interval(LEVEL), -1)
    return _figures(ends.flatten().tolist(), [one for one in deviations for _ in ENDS])


def _figures(values: Sequence[float], deviations: Sequence[float]) -> tuple[str, ...]:
    return tuple(figures(value, of) for value, of in zip(values, deviations, strict=True))


def table(model: Predicting, predictions: Sequence[Prediction], shown: Callable[[str], str] = str) -> str:
    """CSV: the row's name and its cells, empty where there is no prediction.

    shown: the form of names; as they are in a file.
    """
    stream, names = io.StringIO(), columns(model)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([model.id_name, *map(shown, names)])
    for one in predictions:
        held = one.cells if one.cells is not None else ("",) * len(names)
        writer.writerow([shown(one.id), *map(shown, held)])
    return stream.getvalue()
