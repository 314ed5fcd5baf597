"""The learning curves of a run: losses, scores, and whatever else was recorded, folded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metatl.lab.render import html
from metatl.lab.render.html import Html
from metatl.lab.render.reports import plots
from metatl.lab.render.reports.measure import Measure

Values = Mapping[str, Any]
_HIDDEN = ("time/", "memory/", "guide/")
_ENDS = ("_low", "_high")


def curves(metrics: Sequence[Values], measure: Measure) -> Html:
    """A plot a quantity, losses first, the score in its own unit; nothing without recorded steps."""
    tags = list(dict.fromkeys(tag for row in metrics for tag in row if tag != "step"))
    bands = {tag for tag in tags if all(f"{tag}{end}" in tags for end in _ENDS)}
    ends = {f"{tag}{end}" for tag in bands for end in _ENDS}
    first = {"loss": Measure("loss", "", higher=False), measure.name: measure}
    groups: dict[str, list[str]] = {name: [] for name in first}
    for tag in tags:
        if tag not in ends and not tag.startswith(_HIDDEN):
            groups.setdefault(_quantity(tag, tuple(first)), []).append(tag)
    made = {
        name: _plot(metrics, own, bands, first.get(name, Measure(name, "")))
        for name, own in groups.items()
        if own
    }
    scores = {name for name, own in groups.items() if bands.intersection(own)}
    shown = html.side_by_side(*(plot for name, plot in made.items() if name in {*first, *scores}))
    rest = html.side_by_side(*(plot for name, plot in made.items() if name not in {*first, *scores}))
    return html.joined((shown, html.folded("other curves", rest)))


def _quantity(tag: str, known: Sequence[str]) -> str:
    """`loss` of `meta_train/query_loss` and `meta_train/inner_loss/0`."""
    leaf = (tag.partition("/")[2] or tag).removeprefix("query_")
    return next((name for name in known if name in leaf), leaf.replace("_", " "))


def _plot(metrics: Sequence[Values], tags: Sequence[str], bands: set[str], measure: Measure) -> Html:
    lines = {tag: _points(metrics, tag, measure) for tag in tags}
    shown = {tag: points for tag, points in lines.items() if points[0]}
    around = {
        tag: (_points(metrics, f"{tag}_low", measure), _points(metrics, f"{tag}_high", measure))
        for tag in shown
        if tag in bands
    }
    said = f"{measure.name} by step" + ("; band: 95 % interval over episodes." if around else ".")
    return html.figure(plots.curves(shown, around, measure.titled), said) if shown else Html()


def _points(metrics: Sequence[Values], tag: str, measure: Measure) -> plots.Points:
    held = [(row["step"], row[tag]) for row in metrics if _finite(row.get(tag))]
    return [step for step, _ in held], measure.scaled([value for _, value in held]).tolist()


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
