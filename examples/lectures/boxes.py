"""Nets of two tasks as boxes and arrows."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from examples.lectures.style import BLUE, FAINT, GREEN, INK, RED

LEVELS, AT = (1.5, 3.3, 5.1), (1.0, 3.0)
"""Where the two layers and the heads lie, and the two tasks."""


def box(axes: Axes, x: float, y: float, colour: str, wide: float, said: str) -> None:
    shape: dict[str, Any] = dict(boxstyle="round,pad=0.05", facecolor=colour, edgecolor="none")
    axes.add_patch(FancyBboxPatch((x - wide / 2, y - 0.3), wide, 0.6, **shape))
    axes.text(x, y, said, ha="center", va="center", fontsize=10, color="white")


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], line: str = "-", head: str = "-|>"
) -> None:
    style = dict(arrowstyle=head, color=FAINT, linestyle=line, shrinkA=0, shrinkB=0)
    axes.annotate("", end, start, arrowprops=style)


def diagram(axes: Axes, name: str, between: list[str], says: dict[str, str]) -> None:
    """Two layers and a head a task, from below; between: what is said between the nets at each layer."""
    for level in LEVELS[:2]:
        if "trunk" in name:
            box(axes, 2.0, level, GREEN, 3.2, "32 units, shared")
        for place, colour in zip(AT, (BLUE, RED), strict=True):
            if "trunk" not in name:
                box(axes, place, level, colour, 1.2, "32 units")
            arrow(axes, (place, level - (0.8 if level == LEVELS[0] else 1.42)), (place, level - 0.38))
    for place, colour, task, said in zip(AT, (BLUE, RED), says, says.values(), strict=True):
        box(axes, place, LEVELS[2], colour, 1.2, "head")
        arrow(axes, (place, LEVELS[2] - 1.42), (place, LEVELS[2] - 0.38))
        axes.text(place, LEVELS[2] + 0.5, f"{task}: {said}", ha="center", fontsize=11, color=colour)
    for level, said in zip(LEVELS, between, strict=False):
        if stitched := "stitch" in name:
            arrow(axes, (AT[0], level + 0.4), (AT[1] - 0.1, level + 1.35), "--")
            arrow(axes, (AT[1], level + 0.4), (AT[0] + 0.1, level + 1.35), "--")
        else:
            arrow(axes, (AT[0] + 0.65, level), (AT[1] - 0.65, level), "--", "<|-|>")
        y = level + (0.88 if stitched else 0.5)
        axes.text(
            2.0,
            y,
            said,
            ha="center",
            va="center",
            fontsize=9.5,
            color=INK,
            bbox=dict(facecolor="white", edgecolor="none", pad=1),
        )
    axes.set(xlim=(0.2, 3.8), ylim=(0.0, 6.0))
    axes.set_axis_off()
