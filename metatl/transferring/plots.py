"""Pictures of a transfer: accuracy over labels, confusion of classes, the surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl.data.images import as_seen
from metatl.data.photos import photo_content
from metatl.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.transferring.cells import Cells
from metatl.transferring.fixed import Index
from metatl.transferring.rows import REFERENCE
from metatl.transferring.study import Study

SHOWN, COLUMNS, TILES = 5, 4, 12
"""Rows in colour beside the reference; columns and tiles of the mistakes."""


@dataclass(frozen=True)
class Judged:
    """Test photos as one row named them: places, class and its probability; labels: how many it had."""

    method: str
    labels: str
    places: Index
    predicted: Index
    probability: np.ndarray[Any, np.dtype[np.float64]]


def judged(study: Study, cells: Cells, name: str) -> Judged | None:
    """The row's predictions with most labels: all draws that share no photo, else the first; None without."""
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
        return Judged(name, said, places[first], predicted[first], probability[first])
    return None


def scores(found: Mapping[str, Any]) -> Figure:
    """Accuracy over labels of each class, best rows and the reference in colour, bars: 95 % interval."""
    rows, protocol = found["rows"], found["protocol"]
    labels = list(dict.fromkeys(row["labelled"] for row in rows))
    names = list(dict.fromkeys(row["method"] for row in rows))
    figure = blank(12.8, 7.2)
    axes = bare(figure.add_axes((0.06, 0.11, 0.70, 0.72)), keep=("bottom",))
    shown = _shown(rows, labels, names)
    for name in sorted(names, key=lambda name: name in shown):
        _line(axes, [row for row in rows if row["method"] == name], labels, shown.get(name), name in shown)
    _ends(axes, rows, labels, shown, len(names) > len(shown))
    axes.set_xticks(range(len(labels)), ["all" if k == "all" else str(k) for k in labels])
    axes.tick_params(axis="both", labelsize=12)
    axes.set_xlabel("labelled photos of each class", fontsize=12, color=FAINT, labelpad=8)
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.25, len(labels) - 0.75)
    said = f"{protocol['net']} at {protocol['preparation']['size']} px, {protocol['photos_test']} test photos, "
    said += f"up to {protocol['draws']} draws of the labelled ones; bars: 95 % interval"
    figure.text(0.025, 0.93, f"Accuracy on {protocol['data']} by number of labels", fontsize=20, weight="bold", color=INK)
    figure.text(0.025, 0.885, said, fontsize=12, color=FAINT)
    return figure


def _shown(rows: Any, labels: list[Any], names: list[str]) -> dict[str, str]:
    """The reference and the rows with the best mean over numbers of labels where they ran, with colours."""
    best = {k: max(row["score"] for row in rows if row["labelled"] == k) for k in labels}
    gap = {
        name: np.mean([best[row["labelled"]] - row["score"] for row in rows if row["method"] == name])
        for name in names
    }
    others = sorted((name for name in names if name != REFERENCE), key=lambda name: float(gap[name]))
    colours = {REFERENCE: INK} if REFERENCE in names else {}
    spare = [colour for colour in PALETTE if colour not in ("#000000", "#8A8A8A")]
    return {**colours, **dict(zip(others[:SHOWN], spare, strict=False))}


def _line(axes: Axes, rows: Any, labels: list[Any], colour: str | None, shown: bool) -> None:
    at = np.array([labels.index(row["labelled"]) for row in rows], float)
    values = np.array([row["score"] for row in rows])
    style: dict[str, Any] = dict(color=colour or "#C4C4C4", linewidth=2.4 if shown else 1.2, zorder=3 if shown else 1)
    axes.plot(at, values, marker="o", markersize=6 if shown else 3, **style)
    for x, row in zip(at, rows, strict=True):
        if shown and row["ci95"] is not None:
            axes.plot([x, x], row["ci95"], color=colour, linewidth=1.4, alpha=0.55, zorder=2)


def _ends(axes: Axes, rows: Any, labels: list[Any], shown: dict[str, str], others: bool) -> None:
    """Names beside the ends of the lines, pushed apart where they would overlap."""
    ends: list[tuple[float, str, str]] = []
    for name, colour in shown.items():
        own = [row for row in rows if row["method"] == name]
        last = max(own, key=lambda row: labels.index(row["labelled"]))
        ends.append((last["score"], f"{name}  {last['score']:.1f}", colour))
    low, high = axes.get_ylim()
    gap, floor = 0.048 * (high - low), -np.inf
    for value, text, colour in sorted(ends):
        floor = max(value, floor + gap)
        axes.annotate(
            text, (1.01, floor), xycoords=axes.get_yaxis_transform(), fontsize=12, color=colour,
            va="center", annotation_clip=False,
        )  # fmt: skip
    if others:
        place: dict[str, Any] = dict(xycoords=axes.get_yaxis_transform(), annotation_clip=False)
        axes.annotate("grey: all other rows", (1.01, low), fontsize=10, color=FAINT, va="bottom", **place)


def confusion(study: Study, said: Judged) -> Figure:
    """Counts of true class (down) and named class (across)."""
    classes, truth = study.problem.classes, study.problem.labels[said.places]
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
    bare(axes).tick_params(labelsize=size, top=True, labeltop=True, bottom=False, labelbottom=False, labelcolor=INK)
    axes.set_ylabel("true class", fontsize=11, color=FAINT)
    axes.set_xlabel("named class", fontsize=11, color=FAINT)
    figure.text(0.04, 0.94, "Confusion on the test photos", fontsize=15, weight="bold", color=INK)
    figure.text(0.04, 0.89, _caption(said, truth), fontsize=10, color=FAINT)
    return figure


def mistakes(study: Study, said: Judged) -> Figure:
    """The photos that were named wrongly with the highest probability."""
    truth = study.problem.labels[said.places]
    wrong = np.flatnonzero(said.predicted != truth)
    order = wrong[np.argsort(-said.probability[wrong], kind="stable")][:TILES]
    down = max(1, -(-len(order) // COLUMNS))
    figure = blank(3.1 * COLUMNS, 3.2 * down + 1.1)
    top = 1.0 / (3.2 * down + 1.1)
    figure.text(0.025, 1 - 0.42 * top, "The surest mistakes", fontsize=17, weight="bold", color=INK)
    figure.text(0.025, 1 - 0.75 * top, _caption(said, truth), fontsize=10, color=FAINT)
    height = (1 - top) / down
    for place, i in enumerate(order):
        x, y = place % COLUMNS, place // COLUMNS
        axes = bare(figure.add_axes(((x + 0.06) / COLUMNS, 1 - top - (y + 0.88) * height, 0.88 / COLUMNS, 0.74 * height)))
        file = study.problem.files[int(said.places[i])]
        axes.imshow(np.asarray(as_seen(photo_content(file), str(file))))
        axes.set_xticks([])
        axes.set_yticks([])
        named, true = study.problem.classes[said.predicted[i]], study.problem.classes[truth[i]]
        axes.set_title(f"{named} {100 * said.probability[i]:.0f} %, is {true}", fontsize=11, color=INK, loc="left")
        axes.set_xlabel(file.name[:32], fontsize=7.5, color=FAINT)
    return figure


def _caption(said: Judged, truth: Index) -> str:
    wrong = int((said.predicted != truth).sum())
    return f"{said.method}, {said.labels}: {wrong} of {len(truth)} test photos named wrongly"
