"""What a page says of single predictions: confusion, calibration, the surest mistakes with their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from metatl.lab.render import html
from metatl.lab.render.html import Html, Section

MOST = 12
"""Mistakes that are shown."""


class Mistake(NamedTuple):
    """A row that was named wrongly: its input, both classes, the probability of the one named, its place."""

    shown: html.Shown
    named: str
    probability: float
    true: str
    where: str


def confusion(names: Sequence[str], true: Any, named: Any) -> Html:
    """Counts of true class (down) and named class (across); true, named: [n] places in `names`."""
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true, named), 1)
    return html.confusion(counts, names)


def mistakes(held: Iterable[Mistake]) -> Section:
    """The section of the surest mistakes, the first `MOST` of these; empty without any."""
    told = [
        (one.shown, f"{one.named} {100 * one.probability:.0f} %, is {one.true} ({one.where})") for one in held
    ]
    return Section("The surest mistakes", html.examples(told[:MOST]))
