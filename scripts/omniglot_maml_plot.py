"""The plot of omniglot_maml.py: one panel a setting, what was measured and what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from metatl.lab import render
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank

METHODS = ("maml", "fomaml", "anil", "meta-sgd", "proto-maml", "reptile", "protonet")
MODES = {
    "transductive": (PALETTE[0], "white", 0.24),
    "transductive, 15 queries": (PALETTE[5], "white", 0.0),
    "inductive": (PALETTE[1], PALETTE[1], -0.24),
}
Rows = Sequence[Mapping[str, Any]]
Published = Mapping[tuple[str, str], Mapping[str, tuple[float, float | None]]]


def picture(rows: Rows, published: Published) -> bytes:
    """Dots with 95 % intervals, open ones transductive; upright strokes are published values."""
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    columns = min(2, len(settings))
    lines = -(-len(settings) // columns)
    figure = blank(12.8, 1.1 + 3.25 * lines)
    high = figure.get_size_inches()[1]
    for place, setting in enumerate(settings):
        left = 0.115 + (place % columns) * 0.49
        low = (0.5 + (lines - 1 - place // columns) * 3.25) / high
        axes = bare(
            figure.add_axes((left, low, 0.375 if columns == 2 else 0.86, 2.6 / high)), keep=("bottom",)
        )
        _panel(axes, [row for row in rows if row["setting"] == setting], published)
    figure.text(
        0.022, 1 - 0.42 / high, "Omniglot, the MAML family", fontsize=17, fontweight="bold", color=INK
    )
    told = (
        "1,000 episodes of unseen characters; bars: 95 % intervals; the percentage behind a name: share of "
    )
    told += "the published schedule"
    figure.text(0.022, 1 - 0.68 / high, told, fontsize=10.5, color=FAINT)
    _legend(figure)
    return render.png(figure)


def _panel(axes: Axes, rows: Rows, published: Published) -> None:
    setting = rows[0]["setting"]
    present = [method for method in METHODS if any(row["learned_by"] == method for row in rows)]
    heights = {method: len(present) - 1 - i for i, method in enumerate(present)}
    for row in rows:
        mode = row["mode"]
        colour, face, shift = MODES[mode]
        mean, half, at = row["accuracy"], row["ci95"] or 0.0, heights[row["learned_by"]] + shift
        axes.plot([mean - half, mean + half], [at, at], color=colour, linewidth=1.6, zorder=3)
        axes.plot([mean], [at], "o", color=colour, markerfacecolor=face, markersize=6.5, mew=1.5, zorder=4)
        value = published.get((row["learned_by"], mode), {}).get(setting)
        if value is not None:
            axes.plot([value[0]], [at], "|", color=INK, markersize=11, mew=2, zorder=5)
            if value[1] is not None:
                axes.plot(
                    [value[0] - value[1], value[0] + value[1]], [at, at], color=INK, linewidth=1, zorder=2
                )
    shares = {row["learned_by"]: row["schedule"]["share_of_published"] for row in rows}
    said = [m if shares[m] is None else f"{m}, {_percent(shares[m])}" for m in present]
    axes.set_yticks([heights[method] for method in present], said)
    axes.tick_params(axis="y", labelsize=10, labelcolor=INK)
    axes.set_ylim(-0.6, len(present) - 0.4)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter("{x:g} %")
    way, _, shot = setting.rstrip("s").partition("w")
    axes.set_title(f"{way}-way {shot}-shot", loc="left", fontsize=12, fontweight="bold", color=INK)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


def _legend(figure: Any) -> None:
    style: dict[str, Any] = dict(marker="o", linestyle="", mew=1.5, markersize=7)
    marks = [
        Line2D([], [], color=colour, markerfacecolor=face, label=mode, **style)
        for mode, (colour, face, _) in MODES.items()
    ]
    marks.append(Line2D([], [], color=INK, marker="|", linestyle="", mew=2, markersize=11, label="published"))
    figure.legend(handles=marks, loc="upper right", ncols=2, frameon=False, fontsize=10.5, labelcolor=INK)
