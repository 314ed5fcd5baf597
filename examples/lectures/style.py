"""What the pictures share: what a picture is, its panels in the package's colours, and digits to show."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank, picture

WIDE = 5.6
"""Inches: at 150 dpi 840 pixels, so that letters of 11 points are readable on a phone."""
BLUE, RED, GREEN = PALETTE[:3]


class Picture(NamedTuple):
    """A figure, and the numbers that it shows."""

    figure: Figure
    numbers: dict[str, float]


def png(figure: Figure) -> bytes:
    """The bytes of a small PNG file: 256 colours; the same for the same figure."""
    stream, pixels = io.BytesIO(), np.ascontiguousarray(picture(figure).transpose(1, 2, 0))
    Image.fromarray(pixels).quantize(256).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def sheet(height: float) -> Figure:
    """An empty figure as wide as the page."""
    return blank(WIDE, height)


def panel(figure: Figure, place: tuple[int, int, int] | Any, title: str, below: str = "") -> Axes:
    """Axes with a title on the left and a word below; place: rows, columns, number; or of a grid."""
    axes = figure.add_subplot(*place) if isinstance(place, tuple) else figure.add_subplot(place)
    bare(axes, keep=("left", "bottom")).tick_params(labelsize=10)
    axes.set_title(title, fontsize=11.5, color=INK, loc="left", linespacing=1.25)
    axes.set_xlabel(below, fontsize=11, color=FAINT)
    return axes


def shown(axes: Axes, image: Any) -> Axes:
    """An image [h, w] or [h, w, 3] of values in 0 .. 1, with a thin frame; grey ones are ink on paper."""
    image = np.asarray(image)
    axes.imshow(image, cmap=None if image.ndim == 3 else "gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE)
    return axes


def digits(side: int = 8) -> tuple[Tensor, Tensor]:
    """The 1,797 digits of scikit-learn (8 x 8), shuffled: x [n, 1, side, side] in 0 .. 1, y [n]."""
    from sklearn.datasets import load_digits

    held: Any = load_digits()
    x = torch.from_numpy(held.images).float().unsqueeze(1) / 16.0
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    if side != x.shape[-1]:
        x = nn.functional.interpolate(x, size=side, mode="bilinear")
    return x[order], torch.from_numpy(held.target)[order]


def right(output: Tensor, y: Tensor) -> float:
    """The share of rows whose largest output is their class."""
    return float((output.argmax(1) == y).float().mean())
