"""What the saved row gets wrong: confusion of classes, the surest mistakes with their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from metatl.data.fixed import Index
from metatl.evaluation import predicted
from metatl.lab.render.figure import FAINT, INK, bare, blank
from metatl.text import drawn
from metatl.transferring.cells import Cells
from metatl.transferring.judging import NO_CLASS
from metatl.transferring.running import wanted
from metatl.transferring.study import Study

COLUMNS, TILES = 4, 12
"""Of the mistakes."""


@dataclass(frozen=True)
class Named:
    """Rows that judge as one row of the table named them: places, class, its probability; labels: how many.

    diverged: how many others it gave no class, as its outputs were not finite.
    """

    method: str
    labels: str
    places: Index
    predicted: Index
    probability: np.ndarray[Any, np.dtype[np.float64]]
    diverged: int = 0


def named(study: Study, cells: Cells, name: str) -> Named | None:
    """The row's predictions with most labels: all draws that share no row, else the first; None without."""
    if study.problem.targets.kind != "classes":
        return None
    cells = cells.of(wanted(study))
    for k in reversed(list(study.labelled)):
        draws = cells.draws(name, k)
        if not draws:
            continue
        if study.problem.task.test is not None:
            draws = draws[:1]
        held = [cells.held[name, k, draw] for draw in draws]
        places = np.concatenate([study.part((name, k, draw)).test for draw in draws])
        predicted = np.concatenate([np.asarray(cell.predicted, np.int64) for cell in held])
        probability = np.concatenate([np.asarray(cell.probability) for cell in held])
        _, first = np.unique(places, return_index=True)
        said = "all labels" if k is None else f"{k} labels of each class"
        classed = first[predicted[first] != NO_CLASS]
        lost = len(first) - len(classed)
        return Named(name, said, places[classed], predicted[classed], probability[classed], lost)
    return None


def confusion(study: Study, said: Named) -> Figure:
    """Counts of true class (down) and named class (across)."""
    classes, truth = [*map(drawn, study.problem.targets.names)], study.problem.task.labels[said.places]
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (truth, said.predicted), 1)
    side = float(np.clip(2.6 + 0.55 * len(classes), 5.0, 14.0))
    figure = blank(side + 1.5, side + 0.8)
    axes = figure.add_axes((0.27, 0.05, 0.68, 0.66))
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.25)
    size = float(np.clip(90 / len(classes), 5, 13))
    for i, j in np.argwhere(counts > 0):
        colour = "white" if share[i, j] > 0.6 else INK
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=size + 2, color=colour)
    axes.set_xticks(range(len(classes)), classes, fontsize=size, rotation=45 if len(classes) > 4 else 0)
    axes.set_yticks(range(len(classes)), classes, fontsize=size)
    bare(axes).tick_params(
        labelsize=size, top=True, labeltop=True, bottom=False, labelbottom=False, labelcolor=INK
    )
    axes.set_ylabel("true class", fontsize=11, color=FAINT)
    axes.set_xlabel("named class", fontsize=11, color=FAINT)
    figure.text(
        0.04,
        0.94,
        f"Confusion on the {study.problem.unit}s that judge",
        fontsize=15,
        weight="bold",
        color=INK,
    )
    figure.text(0.04, 0.89, _caption(study, said, truth), fontsize=10, color=FAINT)
    return figure


def surest(study: Study, said: Named) -> Index:
    """Places in `said` of what was named wrongly, the highest probability first."""
    return predicted.surest(said.predicted != study.problem.task.labels[said.places], said.probability)


def pictured(study: Study) -> bool:
    """Whether rows are pictures."""
    return isinstance(study.problem.inputs.shown(0), Image.Image)


def mistakes(study: Study, said: Named) -> Figure:
    """The pictures that were named wrongly with the highest probability."""
    truth, order = study.problem.task.labels[said.places], surest(study, said)[:TILES]
    down = max(1, -(-len(order) // COLUMNS))
    figure = blank(3.1 * COLUMNS, 3.2 * down + 1.1)
    top = 1.0 / (3.2 * down + 1.1)
    figure.text(0.025, 1 - 0.42 * top, "The surest mistakes", fontsize=17, weight="bold", color=INK)
    figure.text(0.025, 1 - 0.75 * top, _caption(study, said, truth), fontsize=10, color=FAINT)
    height = (1 - top) / down
    for place, i in enumerate(order):
        x, y = place % COLUMNS, place // COLUMNS
        axes = bare(
            figure.add_axes(
                ((x + 0.06) / COLUMNS, 1 - top - (y + 0.88) * height, 0.88 / COLUMNS, 0.74 * height)
            )
        )
        at = int(said.places[i])
        shown = study.problem.inputs.shown(at)
        assert isinstance(shown, Image.Image)
        axes.imshow(np.asarray(shown))
        axes.set_xticks([])
        axes.set_yticks([])
        named, true = (drawn(study.problem.targets.names[c]) for c in (said.predicted[i], truth[i]))
        axes.set_title(
            f"{named} {100 * said.probability[i]:.0f} %, is {true}", fontsize=11, color=INK, loc="left"
        )
        axes.set_xlabel(drawn(Path(study.problem.inputs.ids[at]).name[:32]), fontsize=7.5, color=FAINT)
    return figure


def _caption(study: Study, said: Named, truth: Index) -> str:
    wrong = int((said.predicted != truth).sum())
    told = f"{said.method}, {said.labels}: {wrong} of {len(truth)} {study.problem.unit}s named wrongly"
    return f"{told}, {said.diverged} more without a finite output" if said.diverged else told
