"""Inputs in as much room as a page has for one: a thumbnail, the beginning of a text, the first columns."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metatl.data.examples import Shown as Whole
from metatl.lab.render.figure import PALETTE, bare, blank, picture
from metatl.lab.render.html.pictures import Shown

SIDE, LEAST = 240, 112
"""Pixels of a picture's longer side, at most and at least."""
CELLS, LETTERS, LINES = 12, 400, 12
"""Columns of a row, letters of a text, and channels of a signal that are shown."""


def small(one: Whole) -> Shown:
    """A picture or a signal as the bytes of a file, the beginning of a text, the first columns of a row."""
    if isinstance(one, Image.Image):
        return _thumbnail(one)
    if isinstance(one, np.ndarray):
        return _lines(one)
    if isinstance(one, str):
        return one if len(one) <= LETTERS else one[:LETTERS] + " ..."
    more = len(one) - CELLS
    return [*one[:CELLS], ("", f"and {more} more")] if more > 0 else list(one)


def _thumbnail(one: Image.Image) -> bytes:
    """PNG or JPEG, whichever is shorter; tiny pictures with every pixel as a square."""
    seen = one.copy() if one.mode in ("L", "RGB") else one.convert("RGB")
    seen.thumbnail((SIDE, SIDE))
    times = -(-LEAST // max(seen.size))
    if times > 1:
        seen = seen.resize((times * seen.width, times * seen.height), Image.Resampling.NEAREST)
    return min((_as_file(seen, kind) for kind in ("PNG", "JPEG")), key=len)


def _as_file(seen: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    seen.save(content, kind, **({"quality": 80} if kind == "JPEG" else {"optimize": True}))
    return content.getvalue()


def _lines(signal: NDArray[np.float64]) -> bytes:
    """The channels of a signal over time, one below the other."""
    figure, held = blank(2.4, 1.5, dpi=100), signal[:LINES]
    axes = bare(figure.add_axes((0.02, 0.02, 0.96, 0.96)))
    middle = held.mean(1, keepdims=True)
    apart = np.arange(len(held))[:, None] * -max(float(np.ptp(held - middle)), 1e-12) * 0.8
    for place, line in enumerate(held - middle + apart):
        axes.plot(line, color=PALETTE[place % len(PALETTE)], linewidth=0.8)
    axes.set_xticks([])
    axes.set_yticks([])
    return _as_file(Image.fromarray(picture(figure).transpose(1, 2, 0)).quantize(16), "PNG")
