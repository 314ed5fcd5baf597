"""Where a trunk parts: gains over the number of blocks that are shared, as a curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metatl import text
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.multitasking.study import ALL


def points(found: Mapping[str, Any]) -> dict[str, list[tuple[int, Mapping[str, Any]]]]:
    """By target, all of them first: (blocks, row of the report), fewer blocks first."""
    curves = dict[str, list[tuple[int, Mapping[str, Any]]]]()
    for row in found["rows"]:
        way, _, k = row["method"].rpartition("-")
        if way == "shared" and k.isdecimal() and row["gain"] is not None:
            curves.setdefault(row["target"], []).append((int(k), row))
    order = sorted(curves, key=lambda target: target != ALL)
    return {target: sorted(curves[target], key=lambda point: point[0]) for target in order}


def curve(found: Mapping[str, Any]) -> Figure:
    """A line a target: mean gain in percent over the blocks that are shared, bars: 95 % interval."""
    curves = points(text.each(found, text.drawn))
    figure = blank(12.8, 7.2)
    axes = bare(figure.add_axes((0.07, 0.12, 0.70, 0.70)), keep=("bottom",))
    axes.axhline(0.0, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    for place, (target, line) in enumerate(curves.items()):
        shift = 0.03 * (place - (len(curves) - 1) / 2)
        at, colour = [k + shift for k, _ in line], PALETTE[place % len(PALETTE)]
        label, wide = ("on average", 3.0) if target == ALL else (target, 1.8)
        gains = [row["gain"] for _, row in line]
        axes.plot(at, gains, "-o", color=colour, linewidth=wide, label=label)
        for x, (_, row) in zip(at, line, strict=True):
            if row["gain_ci95"] is not None:
                axes.plot([x, x], row["gain_ci95"], color=colour, linewidth=1.4, alpha=0.5)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=11)
    axes.set_xlabel("blocks from the input on that all targets share", fontsize=12, color=FAINT)
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    protocol = found["protocol"]
    said = f"gain over a net for each target; up to {protocol['seeds']} draws, bars: 95 % interval"
    figure.text(
        0.025, 0.93, f"How deep to share on {protocol['data']}", fontsize=20, weight="bold", color=INK
    )
    figure.text(0.025, 0.885, said, fontsize=12, color=FAINT)
    return figure
