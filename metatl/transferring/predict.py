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
    """Predictions for photos and for those below folders; what cannot be read is told and passed over.

    Raises MetatlError for a place that is not there, and where no photo could be read.
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
            found += _predictions(model, read)
    if not found:
        where = ", ".join(str(place) for place in places)
        raise MetatlError(f"{where}: no photo could be read; name pictures or folders of them")
    return found


def _predictions(model: PhotoModel, read: Sequence[tuple[Path, torch.Tensor]]) -> list[Prediction]:
    sure = model.probabilities(torch.stack([x for _, x in read])).sort(dim=-1, descending=True, stable=True)
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
