"""Scores over numbers of labels, as a picture that goes on a slide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl import text
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank

SHOWN = 5
"""Rows in colour beside the reference."""
WIDE = 125
"""Letters of a line that the picture is wide enough for."""


def scores(found: Mapping[str, Any]) -> Figure:
    """Scores over numbers of labels, best rows and the reference in colour, bars: 95 % interval."""
    found = text.each(found, text.drawn)
    rows, protocol = [row for row in found["rows"] if row["score"] is not None], found["protocol"]
    unit, better = protocol["unit_of_data"], protocol["better"]
    labels = list(dict.fromkeys(row["labelled"] for row in rows))
    names = list(dict.fromkeys(row["method"] for row in rows))
    figure = blank(12.8, 7.2)
    axes = bare(figure.add_axes((0.06, 0.11, 0.70, 0.72)), keep=("bottom",))
    shown = _shown(rows, labels, names, protocol)
    for name in sorted(names, key=lambda name: name in shown):
        shift = 0.035 * (list(shown).index(name) - (len(shown) - 1) / 2) if name in shown else 0.0
        _line(axes, [row for row in rows if row["method"] == name], labels, shown.get(name), shift)
    form = ".1f" if protocol["unit"] == "%" else ".4g"
    _ends(axes, rows, labels, shown, len(names) > len(shown), form)
    axes.set_xticks(range(len(labels)), ["all" if k == "all" else str(k) for k in labels])
    axes.tick_params(axis="both", labelsize=12)
    each = " of each class" if protocol["targets"] == "classes" else ""
    axes.set_xlabel(f"labelled {unit}s{each}", fontsize=12, color=FAINT, labelpad=8)
    axes.yaxis.set_major_formatter("{x:g} %" if protocol["unit"] == "%" else "{x:g}")
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.25, len(labels) - 0.75)
    net = " ".join(filter(None, (protocol["net"], protocol["input"])))
    said = f"{net}, {protocol['judging_rows']} {unit}s that judge, up to {protocol['draws']} draws of the "
    said += f"labelled ones; bars: 95 % interval; {better} is better"
    name = protocol["score"][:1].upper() + protocol["score"][1:]
    title = f"{name} on {protocol['data']} by number of labels"
    figure.text(0.025, 0.93, title, fontsize=20, weight="bold", color=INK)
    figure.text(0.025, 0.885, said, fontsize=12 * min(1.0, WIDE / len(said)), color=FAINT)
    return figure


def _shown(rows: Any, labels: list[Any], names: list[str], protocol: Mapping[str, Any]) -> dict[str, str]:
    """The reference and the rows with the best mean over numbers of labels where they ran, with colours."""
    reference, better = protocol["reference"], 1 if protocol["better"] == "higher" else -1
    best = {k: max(better * row["score"] for row in rows if row["labelled"] == k) for k in labels}
    gap = {
        name: np.mean(
            [best[row["labelled"]] - better * row["score"] for row in rows if row["method"] == name]
        )
        for name in names
    }
    ran = {name: sum(row["method"] == name for row in rows) for name in names}
    others = sorted((n for n in names if n != reference), key=lambda n: (-ran[n], float(gap[n])))
    colours = {reference: INK} if reference in names else {}
    spare = [colour for colour in PALETTE if colour not in ("#000000", "#8A8A8A")]
    return {**colours, **dict(zip(others[:SHOWN], spare, strict=False))}


def _line(axes: Axes, rows: Any, labels: list[Any], colour: str | None, shift: float) -> None:
    """A row's line; shift: to the right, so that no interval hides another. No colour: in grey, without."""
    shown = colour is not None
    at = shift + np.array([labels.index(row["labelled"]) for row in rows], float)
    values = np.array([row["score"] for row in rows])
    style: dict[str, Any] = dict(
        color=colour or "#C4C4C4", linewidth=2.4 if shown else 1.2, zorder=3 if shown else 1
    )
    axes.plot(at, values, marker="o", markersize=6 if shown else 3, **style)
    for x, row in zip(at, rows, strict=True):
        if shown and row["ci95"] is not None:
            axes.plot([x, x], row["ci95"], color=colour, linewidth=1.4, alpha=0.55, zorder=2)


def _ends(axes: Axes, rows: Any, labels: list[Any], shown: dict[str, str], others: bool, form: str) -> None:
    """Names and scores, written so, beside the ends of the lines, pushed apart where they would overlap."""
    ends: list[tuple[float, str, str]] = []
    for name, colour in shown.items():
        own = [row for row in rows if row["method"] == name]
        last = max(own, key=lambda row: labels.index(row["labelled"]))
        ends.append((last["score"], f"{name}  {last['score']:{form}}", colour))
    low, high = axes.get_ylim()
    gap = 0.048 * (high - low)
    ends.sort()
    places = np.array([value for value, _, _ in ends])
    for _ in range(200):  # neighbours that are too close push each other apart
        short = np.maximum(0.0, gap - np.diff(places))
        places += 0.5 * (np.append(0.0, short) - np.append(short, 0.0))
        places -= max(0.0, float(places.max()) - high)
    for place, (_, said, colour) in zip(places, ends, strict=True):
        axes.annotate(
            said, (1.01, place), xycoords=axes.get_yaxis_transform(), fontsize=12, color=colour,
            va="center", annotation_clip=False,
        )  # fmt: skip
    if others:
        place: dict[str, Any] = dict(xycoords=axes.get_yaxis_transform(), annotation_clip=False)
        axes.annotate("grey: all other rows", (1.01, low), fontsize=10, color=FAINT, va="bottom", **place)
