"""Small plots that stay legible on a telephone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, WRONG, bare, blank
from metatl.text import drawn

Points = tuple[Sequence[float], Sequence[float]]
"""Steps and values."""


def _axes(figure: Figure, x: str, y: str, above: float) -> Axes:
    axes = bare(figure.add_axes((0.13, 0.16, 0.84, 0.7)), keep=("bottom", "left"))
    axes.set_xlabel(x, color=FAINT)
    axes.set_title(drawn(y), loc="left", fontsize=11, fontweight="bold", color=INK, pad=above)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def curves(lines: Mapping[str, Points], bands: Mapping[str, tuple[Points, Points]], y: str) -> Figure:
    """Lines by name over steps, single points as dots; bands: the low and high end around a line."""
    axes = _axes(blank(5.2, 3.5), "step", y, above=22)
    for index, (name, (steps, values)) in enumerate(lines.items()):
        style: dict[str, Any] = dict(color=PALETTE[index % len(PALETTE)], linewidth=1.8, label=drawn(name))
        axes.plot(steps, values, marker="o" if len(steps) < 2 else "", **style)
        if name in bands:
            (at, low), (_, high) = bands[name]
            axes.fill_between(at, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.legend(
        frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, labelcolor=INK,
        handlelength=1.2, columnspacing=1.2, borderpad=0,
    )  # fmt: skip
    return axes.get_figure()  # pyright: ignore[reportReturnType]


def distribution(scores: NDArray[np.float64], worst: float, name: str) -> Figure:
    """How many episodes have which score; worst: the score at which the worst tenth ends, shaded."""
    axes = _axes(blank(5.2, 3.2), name, "number of episodes", above=14)
    low, high = float(scores.min()), float(scores.max())
    bins = int(np.clip(np.sqrt(len(scores)) * 1.5, 5, 30))
    ends = np.linspace(low, high if high > low else low + 1, bins + 1)
    counts, _ = np.histogram(scores, ends)
    mean = float(scores.mean())
    axes.axvline(mean, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        "mean", (mean, 1.0), xycoords=axes.get_xaxis_transform(), xytext=(4, 0), textcoords="offset points",
        fontsize=8.5, color=INK, va="bottom",
    )  # fmt: skip
    side = worst <= float(np.median(scores))
    middle = (ends[1:] + ends[:-1]) / 2
    lost = middle <= worst if side else middle >= worst
    axes.bar(middle, counts, ends[1] - ends[0], color=[WRONG if one else PALETTE[0] for one in lost])
    return axes.get_figure()  # pyright: ignore[reportReturnType]


def means(found: Mapping[str, tuple[float, float | None]], name: str, reference: str | None) -> Figure:
    """A line a method: its mean as a dot, half of its 95 % interval on both sides, the reference dashed."""
    axes = _rows(list(found), name)
    for height, (method, (mean, half)) in enumerate(reversed(list(found.items()))):
        if half is not None:
            axes.plot([mean - half, mean + half], [height] * 2, color=PALETTE[0], linewidth=1.8)
        axes.plot([mean], [height], "o", color=PALETTE[0], markersize=6)
        if method == reference:
            axes.axvline(mean, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    return axes.get_figure()  # pyright: ignore[reportReturnType]


def spread(scores: Mapping[str, NDArray[np.float64]], name: str) -> Figure:
    """A line a method: its tenth to ninetieth percentile thin, its quartiles thick, its median a dot."""
    axes = _rows(list(scores), name)
    for height, values in enumerate(reversed(list(scores.values()))):
        tenth, quarter, middle, three, ninth = np.quantile(values, (0.1, 0.25, 0.5, 0.75, 0.9))
        axes.plot([tenth, ninth], [height] * 2, color=PALETTE[0], linewidth=1.2)
        axes.plot([quarter, three], [height] * 2, color=PALETTE[0], linewidth=4.5, solid_capstyle="butt")
        axes.plot([middle], [height], "o", color="white", markeredgecolor=PALETTE[0], markersize=5)
    return axes.get_figure()  # pyright: ignore[reportReturnType]


def _rows(names: Sequence[str], x: str) -> Axes:
    """Axes with a name a line, the first on top."""
    high = 0.3 * len(names) + 0.9
    axes = bare(blank(5.2, high).add_axes((0.31, 0.62 / high, 0.65, 1 - 0.72 / high)), keep=("bottom",))
    short = [drawn(name if len(name) <= 22 else f"{name[:21]}…") for name in names]
    axes.set_yticks(range(len(names)), short[::-1])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, color=FAINT)
    return axes
