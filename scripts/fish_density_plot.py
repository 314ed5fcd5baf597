"""The picture of fish_density.py: accuracy and stored bytes against the share of the body that moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank

LINES: dict[str, tuple[str, str, Any]] = {
    "fish-support": ("FISH, support set", PALETTE[0], "-"),
    "fish-support-true": ("FISH, support set, true", PALETTE[5], (0, (4, 2))),
    "fish-source": ("FISH, source data", PALETTE[1], "-"),
    "fish-source-true": ("FISH, source data, true", PALETTE[4], (0, (4, 2))),
    "magnitude": ("largest weights", PALETTE[2], "-"),
    "random": ("random", PALETTE[7], "-"),
}
TITLES = {
    "omniglot": "Which weights should a new character task move?",
    "hapt": "Which weights should move for a new person?",
}
TOLD = {
    "omniglot": "Omniglot {shape} from a net trained on MNIST digits",
    "hapt": "HAPT {shape} from a net trained on 3 other people",
}
KEYS, TICKS = ("density", "accuracy", "within_ci95"), (0.0005, 0.002, 0.01, 0.05, 0.2, 1.0)
Curve = Sequence[Mapping[str, Any]]


def plot(data: str, curve: Curve, weights: int, shape: str) -> Figure:
    """Left: accuracy by density, a line a mask; right: bytes of the delta."""
    figure = blank(12.8, 6.4)
    left = _axes(figure, (0.06, 0.11, 0.5, 0.66))
    right = _axes(figure, (0.735, 0.11, 0.245, 0.66))
    accuracy(left, curve)
    stored(right, [point for point in curve if point["mask"] in ("fish-support", "fine-tune")], weights)
    figure.text(0.02, 0.935, TITLES[data], fontsize=19, fontweight="bold", color=INK)
    told = TOLD[data].format(shape=shape) + "; the rate is tuned for every mask and share."
    figure.text(0.02, 0.89, told, fontsize=11, color=FAINT)
    _title(left, f"Accuracy (bands: 95 % within {'people' if data == 'hapt' else 'tasks'})")
    _title(right, "Stored personalised model")
    return figure


def accuracy(axes: Axes, curve: Curve) -> None:
    """A line and a band a mask, all of them ending in fine-tuning; dashed: the two references."""
    plain = next(point for point in curve if point["mask"] == "fine-tune")
    none = next(point for point in curve if point["mask"] == "head-only")
    for mask, (name, colour, style) in LINES.items():
        own = sorted((p for p in curve if p["mask"] in (mask, "fine-tune")), key=lambda p: p["density"])
        x, y, half = (np.array([point[key] for point in own]) for key in KEYS)
        axes.fill_between(x, y - half, y + half, color=colour, alpha=0.1, linewidth=0)
        axes.plot(x, y, color=colour, linestyle=style, linewidth=2, marker="o", markersize=4.5, label=name)
    higher = max(plain["accuracy"], none["accuracy"])
    for point, name in ((none, "output layer only"), (plain, "all weights move")):
        value = point["accuracy"]
        axes.axhline(value, color=INK, linewidth=1.1, linestyle=(0, (2, 2)), zorder=1)
        up = value == higher
        axes.annotate(
            name, (1.0, value), xycoords=axes.get_yaxis_transform(), xytext=(5, -3 if up else 3),
            textcoords="offset points", va="bottom" if up else "top", fontsize=10, color=INK,
            annotation_clip=False,
        )  # fmt: skip
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.legend(loc="best", fontsize=10, handlelength=2.8, labelcolor=INK, edgecolor="white", framealpha=0.85)


def stored(axes: Axes, own: Curve, weights: int) -> None:
    """The file's bytes in both precisions, beside all weights as float32."""
    own = sorted(own, key=lambda point: point["density"])
    x = np.array([point["density"] for point in own])
    for precision, name, colour in (
        ("exact", "bit by bit", PALETTE[0]),
        ("half", "16 bits a change", PALETTE[5]),
    ):
        y = np.array([point["delta"][f"{precision}_bytes"] for point in own])
        axes.plot(x, y, color=colour, linewidth=2, marker="o", markersize=4.5, label=name)
    axes.set_yscale("log")
    axes.axhline(4 * weights, color=INK, linewidth=1.1, linestyle=(0, (2, 2)))
    axes.annotate(
        "the whole net, float32", (0.0, 4 * weights), xycoords=axes.get_yaxis_transform(), xytext=(4, -4),
        textcoords="offset points", va="top", fontsize=10, color=INK, annotation_clip=False,
    )  # fmt: skip
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y / 1000:g} kB"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.legend(loc="lower right", fontsize=10, labelcolor=INK, edgecolor="white", framealpha=0.85)


def _axes(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    axes = bare(figure.add_axes(box), keep=("bottom", "left"))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xscale("log")
    axes.set_xticks(TICKS, [f"{100 * share:g} %" for share in TICKS])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("share of the body that moves", color=FAINT)
    return axes


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=12, color=INK, pad=10)
