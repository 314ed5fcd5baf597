"""Pictures of what was learned and of what is asked: guides and episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, RIGHT, WRONG, array, bare, blank
from metatl.text import drawn
from metatl.types import Episode, MetatlError

_LONGEST = 24
"""Characters of a class's name beside its pictures."""


def guide_histogram(guide: Mapping[str, Any], columns: int = 4) -> Figure:
    """One small histogram a tensor, counts on a log scale, with the share of exact zeros in the title."""
    rows = -(-len(guide) // columns)
    figure = blank(3.0 * columns, 1.7 * rows + 0.5, dpi=100)
    values = {name: array(entry).ravel() for name, entry in guide.items()}
    low = min([0.0, *(float(v.min()) for v in values.values())])
    high = max([1.0, *(float(v.max()) for v in values.values())])
    for index, (name, entry) in enumerate(values.items()):
        axes = bare(figure.add_subplot(rows, columns, index + 1), keep=("bottom",))
        axes.hist(entry, bins=40, range=(low, high), color=PALETTE[0], log=True)
        axes.set_ylim(0.5, 1.5 * max(len(entry), 1))  # a bar's height is a share, comparable over tensors
        frozen = f"{100 * (entry == 0).mean():.0f} % frozen"
        axes.set_title(f"{_short(name)}\n{frozen}", fontsize=8, color=INK, loc="left")
        axes.set_yticks([])
        axes.minorticks_off()
    figure.tight_layout()
    return figure


def depth_profile(mean: Mapping[str, float], frozen: Mapping[str, float]) -> Figure:
    """Mean guide and share frozen of each module, from the input (left) to the output (right)."""
    names = list(mean)
    figure = blank(max(5.0, 0.45 * len(names) + 2.0), 4.2, dpi=100)
    axes = bare(figure.add_subplot(), keep=("bottom",))
    axes.plot(range(len(names)), list(mean.values()), "o-", color=PALETTE[0], label="mean guide")
    axes.plot(range(len(names)), [frozen[n] for n in names], "s--", color=PALETTE[1], label="share frozen")
    axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=60, ha="right")
    axes.set_ylim(-0.03, max(1.03, 1.05 * max(mean.values(), default=1.0)))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=9)
    figure.tight_layout()
    return figure


def filter_map(guide: Mapping[str, Any], columns: int = 4) -> Figure:
    """Heat map of every weight of two axes or more: outputs down, inputs across, mean over the kernel."""
    entries = {name: array(entry) for name, entry in guide.items()}
    maps = {n: e.mean(tuple(range(2, e.ndim))) if e.ndim > 2 else e for n, e in entries.items() if e.ndim > 1}
    rows = -(-max(len(maps), 1) // columns)
    figure = blank(2.7 * columns + 0.9, 2.6 * rows, dpi=100)
    high = max([1e-12, *(float(m.max()) for m in maps.values())])
    low = min([0.0, *(float(m.min()) for m in maps.values())])
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(len(maps))]
    for axis, (name, values) in zip(axes, maps.items(), strict=True):
        shown = bare(axis).imshow(values, vmin=low, vmax=high, cmap="viridis", aspect="auto")
        axis.set_title(f"{_short(name)}  {values.shape[0]}x{values.shape[1]}", fontsize=8, color=INK)
        axis.set_xticks([])
        axis.set_yticks([])
        shown.set_interpolation("nearest")
    figure.subplots_adjust(left=0.02, right=0.91, top=0.93, bottom=0.03, wspace=0.12, hspace=0.25)
    if maps:
        bar = figure.colorbar(axes[0].images[0], cax=figure.add_axes((0.93, 0.1, 0.015, 0.8)))
        bar.ax.tick_params(labelsize=8, colors=FAINT, length=0)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def episode_grid(
    episode: Episode, predictions: Any, way: int, names: Sequence[str] | None = None, columns: int = 15
) -> Figure:
    """Support images left, query images right, one row a class; wrong ones in orange, with the class said.

    episode: x [n, channels, height, width], one or three channels; predictions [queries] class indices;
    names: of the classes, shown beside their numbers.
    Raises MetatlError for examples that are not images.
    """
    support, query = _by_class(episode.support, way), _by_class(episode.query, way)
    guesses = array(predictions)
    shown = [min(columns, max(len(rows) for rows in side)) for side in (support, query)]
    width = shown[0] + 0.6 + max(shown[1], 3)
    scale = min(0.62, 14.0 / width)
    called = [f"{_short(name, _LONGEST)}  {label}" for label, name in enumerate(names or [""] * way)]
    margin = 0.6 + 0.1 / scale * max(len(name) - 3 for name in called)  # a character is 0.1 inches wide
    figure = blank(scale * (width + 0.6 + margin), scale * (way + 1.5), dpi=110)
    axes = bare(figure.add_axes((0, 0, 1, 1)))
    axes.set(xlim=(-0.3 - margin, width + 0.3), ylim=(way + 0.4, -1.1), xticks=[], yticks=[])
    for label in range(way):
        axes.text(-0.2, label + 0.5, called[label], ha="right", va="center", color=INK, fontsize=11)
        for k, row in enumerate(support[label][: shown[0]]):
            _image(axes, episode.support.x[row], k, label)
        for k, row in enumerate(query[label][: shown[1]]):
            left, guess = shown[0] + 0.6 + k, int(guesses[row])
            _image(axes, episode.query.x[row], left, label)
            _verdict(axes, left, label, guess)
    labels = array(episode.query.y)
    right = float((guesses == labels).mean())
    axes.text(0, -0.35, "support", color=FAINT, fontsize=11, va="center")
    axes.text(
        shown[0] + 0.6, -0.35, f"query, {100 * right:.0f} % right", color=FAINT, fontsize=11, va="center"
    )
    return figure


def _by_class(batch: Any, way: int) -> list[list[int]]:
    if batch.x.ndim != 4 or batch.x.shape[1] not in (1, 3):
        raise MetatlError(
            f"only images can be shown as a grid; these examples are {tuple(batch.x.shape[1:])}"
        )
    labels = array(batch.y)
    return [np.flatnonzero(labels == label).tolist() for label in range(way)]


def _image(axes: Axes, x: Any, left: float, top: int) -> None:
    image: NDArray[Any] = array(x).astype(np.float64).transpose(1, 2, 0)
    image = (image - image.min()) / max(float(np.ptp(image)), 1e-12)
    place = (left + 0.06, left + 0.94, top + 0.94, top + 0.06)
    pixels = image[..., 0] if image.shape[2] == 1 else image
    axes.imshow(pixels, extent=place, aspect="auto", cmap="gray")  # the colour map is for one channel only


def _verdict(axes: Axes, left: float, label: int, guess: int) -> None:
    right = guess == label
    frame: dict[str, Any] = dict(fill=False, linewidth=1.6, edgecolor=RIGHT if right else WRONG)
    axes.add_patch(Rectangle((left + 0.04, label + 0.04), 0.92, 0.92, **frame))
    if not right:
        axes.text(
            left + 0.93, label + 0.91, f"×{guess}", color="white", fontsize=8.5, ha="right", va="bottom",
            fontweight="bold", bbox=dict(facecolor=WRONG, edgecolor="none", pad=1.2),
        )  # fmt: skip


def _short(name: str, limit: int = 30) -> str:
    return drawn(name if len(name) <= limit else f"…{name[1 - limit :]}")
