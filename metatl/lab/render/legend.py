"""The legend of a dot plot, where it covers nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from metatl.lab.render.figure import FAINT, INK

Place = Literal[
    "lower right", "upper right", "center", "center left", "upper left", "lower left", "center right",
    "lower center", "upper center",
]  # fmt: skip
PLACES: tuple[Place, ...] = get_args(Place)
"""Where a legend may stand, first choice first."""


def legend(axes: Axes, rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> None:
    """The families of the rows and the sign of transductive ones, at the place where least is drawn."""
    present = {str(row.get("family", "")) for row in rows} - {""}
    named = [family for family in colours if family in present] if len(present) > 1 else []
    marks = [Line2D([], [], color=colours[f], marker="o", linestyle="", markersize=8, label=f) for f in named]
    if any(row["transductive"] for row in rows):
        style: dict[str, Any] = dict(
            color=FAINT, marker="o", markerfacecolor="white", mew=1.6, linestyle="", markersize=8
        )
        marks.append(Line2D([], [], label="open: transductive", **style))
    if marks:
        drawn = _drawn(axes)
        _placed(axes, marks, min(PLACES, key=lambda place: _covered(_placed(axes, marks, place), drawn)))


def _placed(axes: Axes, marks: list[Line2D], place: Place) -> Legend:
    return axes.legend(
        handles=marks, loc=place, fontsize=10.5, labelcolor=INK, handletextpad=0.2, framealpha=0.9,
        edgecolor="white", labelspacing=0.45,
    )  # fmt: skip


def _drawn(axes: Axes) -> list[Bbox]:
    return [artist.get_window_extent() for artist in (*axes.lines, *axes.texts)]


def _covered(placed: Legend, drawn: Sequence[Bbox]) -> int:
    """How many dots, bars and numbers the legend would hide."""
    return placed.get_window_extent().count_overlaps(drawn)
