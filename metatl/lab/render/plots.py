"""Plots of results: the benchmark's dot plot and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from metatl import text
from metatl.evaluation.scores import Score, of_protocol
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, array, bare, blank
from metatl.lab.render.legend import legend

Row = Mapping[str, Any]
FAMILIES = {
    "no transfer": "#8A8A8A",
    "fine-tuning": "#000000",
    "sparse": "#E69F00",
    "guided": "#D55E00",
    "controls": "#CC79A7",
    "anchored": "#009E73",
    "meta-learned": "#0072B2",
}
"""One colour a family in every plot; families of other names take what the palette has left."""


def benchmark_plot(rows: Sequence[Row], protocol: Mapping[str, Any]) -> Figure:
    """Dot plot of `compare.rows`, best on top: mean, 95 % interval, family in colour, transductive open."""
    rows, protocol = text.each(rows, text.drawn), text.each(protocol, text.drawn)
    score = of_protocol(protocol)
    ordered = sorted(rows, key=lambda row: score.sign * row[score.name])
    figure = blank(12.8, 7.2)
    size = float(np.clip(305 / max(len(rows), 1), 5.5, 14))
    axes = bare(figure.add_axes((0.0, 0.085, 0.97, 0.765)), keep=("bottom",))
    colours = _colours(rows)
    for height, row in enumerate(ordered):
        _dot(axes, height, row, score, colours[row.get("family", "")], size)
    axes.set_yticks(range(len(ordered)), [_name(row) for row in ordered])
    axes.tick_params(axis="y", labelsize=size, labelcolor=INK, pad=6)
    axes.set_ylim(-0.8, len(ordered) - 0.2)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    _range(axes, rows, score)
    _reference(axes, ordered, protocol, score)
    _titles(figure, protocol, score)
    _fit_names(figure, axes)
    legend(axes, rows, colours)
    return figure


def _name(row: Row, limit: int = 44) -> str:
    name = str(row["method"])
    return name if len(name) <= limit else f"{name[: limit - 1].rstrip()}…"


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    present = list(dict.fromkeys(str(row.get("family", "")) for row in rows))
    spare = [c for c in PALETTE if c not in {FAMILIES.get(family) for family in present}]
    unknown = [family for family in present if family not in FAMILIES]
    return {**FAMILIES, **{family: spare[i % len(spare)] for i, family in enumerate(unknown)}}


def _dot(axes: Axes, height: int, row: Row, score: Score, colour: str, size: float) -> None:
    mean, ci95 = row[score.name], row["ci95"] or 0.0  # no bar where there is no interval
    axes.plot([mean - ci95, mean + ci95], [height, height], color=colour, linewidth=1.8, zorder=3)
    face = "white" if row["transductive"] else colour
    axes.plot(
        [mean], [height], "o", color=colour, markerfacecolor=face, markersize=0.62 * size, mew=1.6, zorder=4
    )
    number = f"{mean:.1f}" if score.unit else f"{mean:.3f}"
    number += f" ({row['diverged']} diverged)" if row.get("diverged") else ""
    place: dict[str, Any] = dict(
        xytext=(0.31 * size + 5, 0), textcoords="offset points", va="center_baseline"
    )
    halo = [withStroke(linewidth=2.5, foreground="white")]  # the number stays legible on the reference line
    axes.annotate(
        number, (mean + ci95, height), fontsize=0.86 * size, color=FAINT, path_effects=halo, **place
    )


def _range(axes: Axes, rows: Sequence[Row], score: Score) -> None:
    low = min(row[score.name] - (row["ci95"] or 0.0) for row in rows)
    high = max(row[score.name] + (row["ci95"] or 0.0) for row in rows)
    room = max(high - low, 1e-9)
    axes.set_xlim(low - 0.04 * room, high + 0.07 * room)
    axes.xaxis.set_major_formatter(f"{{x:g}} {score.unit}".rstrip())


def _reference(axes: Axes, ordered: Sequence[Row], protocol: Mapping[str, Any], score: Score) -> None:
    for row in ordered:
        if row["method"] == protocol.get("reference"):
            axes.axvline(row[score.name], color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
            label = f"{row['method']} (reference)"
            place: dict[str, Any] = dict(xytext=(0, 5), textcoords="offset points", ha="center", va="bottom")
            top = (row[score.name], 1.0)
            axes.annotate(label, top, xycoords=axes.get_xaxis_transform(), fontsize=9, color=INK, **place)


def _titles(figure: Figure, protocol: Mapping[str, Any], score: Score) -> None:
    task = [f"{protocol['way']}-way"] if protocol.get("way") else []
    task += [f"{protocol['shot']}-shot"] if protocol.get("shot") else []
    what = f"{' '.join(task)} {score.name} on {protocol.get('data', 'data')}".strip()
    title = what[0].upper() + what[1:]
    unit = protocol.get("unit", "episodes")
    told = f"Mean over the same {protocol.get('episodes', '')} {protocol.get('split', '')} {unit}"
    queries = (
        f", {protocol['query']} queries a class" if protocol.get("query") and protocol.get("way") else ""
    )
    figure.text(0.022, 0.945, title, fontsize=19, fontweight="bold", color=INK)
    figure.text(
        0.022, 0.908, f"{told} for every method{queries}; bars: 95 % interval", fontsize=11, color=FAINT
    )
    mark = [f"seed {protocol['seed']}"] if protocol.get("seed") is not None else []
    mark += [f"episodes {str(protocol['episodes_hash'])[:12]}"] if protocol.get("episodes_hash") else []
    figure.text(0.97, 0.014, ", ".join(mark), fontsize=7.5, color=FAINT, ha="right")


def _fit_names(figure: Figure, axes: Axes) -> None:
    """Move the axes to the right until the longest method name fits."""
    figure.canvas.draw()
    widest = max((label.get_window_extent().width for label in axes.get_yticklabels()), default=0.0)
    left = min(0.42, 0.022 + (widest + 20) / figure.bbox.width)
    axes.set_position((left, 0.085, 0.965 - left, 0.765))


def learning_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x: str = "step",
    y: str = "accuracy",
    title: str = "",
    ci95: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Lines (steps, values) by name, labelled at their ends, with the band of +- ci95 where one is given."""
    figure = blank(9.6, 5.4)
    axes = bare(figure.add_axes((0.08, 0.12, 0.7, 0.76)), keep=("bottom", "left"))
    ends: list[tuple[float, str, str]] = []
    for index, (name, (steps, values)) in enumerate(curves.items()):
        colour, at, line = PALETTE[index % len(PALETTE)], array(steps), array(values)
        axes.plot(at, line, color=colour, linewidth=2, solid_capstyle="round")
        if ci95 and name in ci95:
            half = array(ci95[name])
            axes.fill_between(at, line - half, line + half, color=colour, alpha=0.15, linewidth=0)
        finite = line[np.isfinite(line)]
        ends += [(float(finite[-1]), text.drawn(name), colour)] if len(finite) else []
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.margins(x=0.01)
    axes.set_xlabel(x, color=FAINT)
    axes.set_title(text.drawn(title or y), loc="left", fontsize=14, fontweight="bold", color=INK)
    _label_ends(axes, ends)
    return figure


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names beside the ends of their lines, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    gap, floor = 0.055 * (high - low), -np.inf
    for value, name, colour in sorted(ends):
        floor = max(value, floor + gap)
        axes.annotate(
            name, (1.015, floor), xycoords=axes.get_yaxis_transform(), fontsize=10.5, color=colour,
            va="center", annotation_clip=False,
        )  # fmt: skip
