"""Pictures inside the page: plots, reliability diagrams, examples with what was said of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank, png
from metatl.lab.render.html.markup import Html, element, joined
from metatl.lab.render.html.tables import facts

BINS = 15
"""Of a reliability diagram."""
_SMALL = 40_000
"""Bytes of an SVG that needs no PNG beside it, which takes as long to draw."""
_NARROW = 6.0
"""Inches of a plot that can be read on a telephone without moving it sideways."""
_KINDS = {b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}
Shown = bytes | str | Sequence[tuple[str, Any]]
"""An input: the bytes of a picture's file, a text, or the columns of a row."""


def figure(drawn: Figure | bytes, caption: str) -> Html:
    """A plot (as SVG, or as PNG where that is large) or the bytes of a picture's file, with its caption."""
    content = drawn if isinstance(drawn, bytes) else _smaller(drawn)
    narrow = isinstance(drawn, Figure) and drawn.get_figwidth() <= _NARROW
    return element(
        "figure", _image(content, caption, "narrow" if narrow else "wide"), element("figcaption", caption)
    )


def _smaller(drawn: Figure) -> bytes:
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "metatl", "svg.fonttype": "path"}):  # the same ids each time
        drawn.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    vectors = stream.getvalue()
    return vectors if len(vectors) <= _SMALL else min(vectors, png(drawn), key=len)


def _image(content: bytes, said: str, room: str = "narrow") -> Html:
    kind = next((kind for front, kind in _KINDS.items() if content.startswith(front)), "png")
    kind = "svg+xml" if content.lstrip().startswith(b"<") else kind
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return element("img", src=source, alt=said, class_=room)


def examples(held: Sequence[tuple[Shown, str]]) -> Html:
    """Inputs, each with what there is to say of it: pictures, texts or rows [(column, value)]."""
    cards = [element("figure", _input(one, said), element("figcaption", said)) for one, said in held]
    return element("div", joined(cards), class_="examples") if cards else Html()


def _input(one: Shown, said: str) -> Html:
    if isinstance(one, bytes):
        return _image(one, said)
    return element("p", one) if isinstance(one, str) else facts(dict(one))


def calibration_error(probability: Any, right: Any, bins: int = BINS) -> float:
    """Expected calibration error: sum over bins b of n_b / n |share right in b - mean probability in b|.

    probability: [n] of the class that was named; right: [n] whether it was; bins ((b - 1) / bins, b / bins].
    Source: Guo et al. (2017). NaN without predictions.
    """
    total = len(probability)
    if not total:
        return float("nan")
    return float(sum(n * abs(p - share) for n, p, share in _bins(probability, right, bins)) / total)


def _bins(probability: Any, right: Any, bins: int) -> list[tuple[int, float, float]]:
    """Of each bin that holds any: how many, their mean probability, the share of them that is right."""
    said: NDArray[np.float64] = np.asarray(probability, np.float64)
    hit: NDArray[np.float64] = np.asarray(right, np.float64)
    places = np.clip(np.ceil(bins * said).astype(np.int64) - 1, 0, bins - 1)
    held = [places == place for place in np.unique(places)]
    return [(int(own.sum()), float(said[own].mean()), float(hit[own].mean())) for own in held]


def calibration(probability: Any, right: Any) -> Html:
    """A reliability diagram with its expected calibration error; nothing without predictions.

    probability: [n] of the class that was named, in [0, 1]; right: [n] whether it was the true one.
    """
    if not len(probability):
        return Html()
    found, error = _bins(probability, right, BINS), calibration_error(probability, right)
    side = blank(4.6, 4.2)
    axes = bare(side.add_axes((0.14, 0.14, 0.83, 0.83)), keep=("bottom", "left"))
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.5, zorder=1)
    most = max(n for n, _, _ in found)
    axes.plot([p for _, p, _ in found], [s for _, _, s in found], color=PALETTE[0], linewidth=1.2, zorder=2)
    sizes = [20 + 130 * n / most for n, _, _ in found]
    axes.scatter([p for _, p, _ in found], [s for _, _, s in found], s=sizes, color=PALETTE[0], zorder=3)
    axes.set(xlim=(-0.02, 1.04), ylim=(-0.04, 1.06))
    axes.set_xlabel("probability of the named class", color=FAINT)
    axes.set_ylabel("share that is right", color=FAINT)
    axes.tick_params(labelcolor=INK)
    mean, share = float(np.mean(probability)), float(np.mean(right))
    lean = "too sure" if mean > share else "not sure enough"
    said = (
        f"Expected calibration error {100 * error:.1f} % ({BINS} bins, {len(probability)} predictions): "
        f"{100 * mean:.1f} % sure on average and {100 * share:.1f} % right"
        + (f", so {lean}" if abs(mean - share) >= 0.01 else "")
        + ". Dots on the line are as often right as they say; larger dots hold more predictions."
    )
    return figure(side, said)
