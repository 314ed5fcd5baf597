"""What every picture shares: a blank figure without global state, colours, pixels."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, FAINT, LINE = "#222222", "#767676", "#D8D8D8"
# Okabe and Ito (2008), told apart by people with every common colour vision; yellow is too light on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A8A")
RIGHT, WRONG = "#0072B2", "#D55E00"


def blank(width: float, height: float, dpi: int = 150) -> Figure:
    """An empty white figure of width x height inches, on its own Agg canvas."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes, *, keep: tuple[str, ...] = ()) -> Axes:
    """The axes without spines and ticks, but for the spines named in `keep`."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep)
        spine.set_color(LINE)
    axes.tick_params(length=0, colors=FAINT, labelsize=9)
    return axes


def picture(figure: Figure) -> NDArray[np.uint8]:
    """The figure's pixels, uint8 [3, height, width]."""
    canvas = cast("FigureCanvasAgg", figure.canvas)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)
    return np.ascontiguousarray(pixels[..., :3].transpose(2, 0, 1))


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file, the same bytes for the same figure."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def array(values: Any) -> NDArray[Any]:
    """A numpy array from a numpy array, a list, or a tensor on any device."""
    return np.asarray(values.numpy(force=True) if hasattr(values, "numpy") else values)
