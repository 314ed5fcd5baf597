"""Predictions of a saved model for photos and folders of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from metatl.data.photos import photo_content, photo_files
from metatl.opening import text_of
from metatl.transferring.backbone import BATCH
from metatl.transferring.model import PhotoModel
from metatl.types import MetatlError

PLACES = ("", "second_", "third_")
"""Before the column names of the first, second and third label."""


@dataclass(frozen=True)
class Prediction:
    """A photo's labels with their probabilities, the most probable first."""

    file: Path
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]


def predict(
    model: PhotoModel, places: Sequence[Path], unreadable: Callable[[str], None] = lambda why: None
) -> list[Prediction]:
    """Predictions for photos and for those below folders; what has none is told and passed over.

    That is a photo that cannot be read, or whose outputs are not finite. Raises MetatlError for a place that
    is not there, and where no photo is left.
    """
    files = photo_files(places)
    found: list[Prediction] = []
    for first in range(0, len(files), BATCH):
        read: list[tuple[Path, torch.Tensor]] = []
        for file in files[first : first + BATCH]:
            try:
                read.append((file, model.prepared(photo_content(file), str(file))))
            except MetatlError as error:
                unreadable(str(error))
        if read:
            found += _predictions(model, read, unreadable)
    if not found:
        where = ", ".join(str(place) for place in places)
        raise MetatlError(f"{where}: no photo could be read and labelled; name pictures or folders of them")
    return found


def _predictions(
    model: PhotoModel, read: Sequence[tuple[Path, torch.Tensor]], unreadable: Callable[[str], None]
) -> list[Prediction]:
    outputs = model.outputs(torch.stack([x for _, x in read]))
    finite = outputs.isfinite().all(-1)
    for (file, _), said in zip(read, finite.tolist(), strict=True):
        if not said:
            unreadable(f"{file}: the prediction is not finite, so that it names no class")
    read = [one for one, said in zip(read, finite.tolist(), strict=True) if said]
    sure = outputs[finite].softmax(-1).sort(dim=-1, descending=True, stable=True)
    count = min(len(PLACES), len(model.classes))
    rows = zip(read, sure.indices[:, :count].tolist(), sure.values[:, :count].tolist(), strict=True)
    return [
        Prediction(file, tuple(model.classes[i] for i in labels), tuple(values))
        for (file, _), labels, values in rows
    ]


def table(predictions: Sequence[Prediction], shown: Callable[[str], str] = str) -> str:
    """CSV: file, label, probability, and the next two labels with theirs (empty where there are fewer).

    shown: the form of names; as they are in a file.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", *(f"{place}{what}" for place in PLACES for what in ("label", "probability"))])
    for one in predictions:
        cells: list[str] = []
        for i in range(len(PLACES)):
            there = i < len(one.labels)
            cells += [shown(one.labels[i]), f"{one.probabilities[i]:.6f}"] if there else ["", ""]
        writer.writerow([shown(text_of(one.file)), *cells])
    return stream.getvalue()
