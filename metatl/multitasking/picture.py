"""The gain of every way over single nets, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl import text
from metatl.lab.render.figure import FAINT, INK, LINE, RIGHT, WRONG, bare, blank
from metatl.multitasking.study import ALL

MOST = 4
"""Targets with a panel of their own, beside that of all targets."""
_EVEN = "#8A8A8A"
_LEFT = 2.2
"""Inches for the names of ways."""


def gains(found: Mapping[str, Any]) -> Figure:
    """A panel for all targets and one each, a line a way: mean gain in percent, bar: 95 % interval.

    Ways lie in the order of their mean gain over all targets; blue is shown to gain, orange to lose (Holm).
    """
    rows = [row for row in text.each(found["rows"], text.drawn) if row["method"] != _reference(found)]
    targets = list(dict.fromkeys(row["target"] for row in rows))
    panels = [ALL, *[target for target in targets if target != ALL][:MOST]]
    means = {row["method"]: row["gain"] for row in rows if row["target"] == ALL}
    names = sorted(means, key=lambda name: -1e300 if means[name] is None else means[name])
    width, height = _LEFT + 2.3 * len(panels) + 0.4, 1.75 + 0.34 * max(4, len(names))
    figure, bottom, top = blank(width, height), 0.62 / height, 1 - 1.05 / height
    for place, target in enumerate(panels):
        left, own = (_LEFT + 2.3 * place) / width, [row for row in rows if row["target"] == target]
        axes = bare(figure.add_axes((left, bottom, 2.05 / width, top - bottom)), keep=("bottom",))
        _panel(axes, own, names, "on average" if target == ALL else target)
        if place == 0:
            axes.set_yticks(range(len(names)), names)
            axes.tick_params(axis="y", labelsize=10, colors=INK, pad=6)
    _titles(figure, found, len(targets) - len(panels), height)
    return figure


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> None:
    at = {row["method"]: row for row in rows}
    axes.axvline(0.0, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for height in range(len(names)):
        axes.axhline(height, color=LINE, linewidth=0.4, zorder=1)
    for height, name in enumerate(names):
        gain, ends = at[name]["gain"], at[name]["gain_ci95"]
        if gain is None:
            axes.text(0.0, height, " no finite score", fontsize=7.5, color=FAINT, va="center")
            continue
        told = at[name]["p"] is not None and at[name]["p"] < 0.05
        colour = (RIGHT if gain > 0 else WRONG) if told else _EVEN
        if ends is not None:
            axes.plot(ends, [height, height], color=colour, linewidth=2.2, solid_capstyle="round", zorder=3)
        axes.plot([gain], [height], "o", color=colour, markersize=6.5, mec="white", mew=0.9, zorder=4)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_yticks([])
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:+g} %".replace("-", "−") if x else "0 %")
    axes.set_title(_short(title), fontsize=11, color=INK, loc="left", pad=6)


def _titles(figure: Figure, found: Mapping[str, Any], more: int, height: float) -> None:
    protocol = text.each(found["protocol"], text.drawn)
    head = f"{protocol['data']}: what is gained by learning together"
    said = f"Gain over {_reference(found)} on the same draws; right of the line is better"
    bars = "bars: 95 % interval over draws; in colour: told from 0 after Holm"
    figure.text(0.15 / figure.get_figwidth(), 1 - 0.33 / height, head, fontsize=14, weight="bold", color=INK)
    figure.text(0.15 / figure.get_figwidth(), 1 - 0.6 / height, said, fontsize=9, color=FAINT)
    note = f"{bars}; {more} more targets in the table" if more > 0 else bars
    figure.text(0.15 / figure.get_figwidth(), 0.13 / height, note, fontsize=8, color=FAINT)


def _reference(found: Mapping[str, Any]) -> str:
    return str(found["protocol"]["reference"])


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"
