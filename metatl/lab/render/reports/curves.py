"""The learning curves of a run: losses, scores, and whatever else was recorded, folded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metatl.lab.render import html
from metatl.lab.render.html import Html
from metatl.lab.render.reports import plots

_HIDDEN = ("time/", "memory/", "guide/")
_FIRST = ("loss", "accuracy")
_ENDS = ("_low", "_high")


def curves(metrics: Sequence[Mapping[str, Any]]) -> Html:
    """A plot a quantity, losses first; nothing without recorded steps."""
    tags = list(dict.fromkeys(tag for row in metrics for tag in row if tag != "step"))
    bands = {tag for tag in tags if all(f"{tag}{end}" in tags for end in _ENDS)}
    ends = {f"{tag}{end}" for tag in bands for end in _ENDS}
    groups: dict[str, list[str]] = {}
    for tag in tags:
        if tag not in ends and not tag.startswith(_HIDDEN):
            groups.setdefault(_quantity(tag), []).append(tag)
    first = [_plot(metrics, name, groups[name], bands) for name in _FIRST if name in groups]
    rest = [_plot(metrics, name, own, bands) for name, own in groups.items() if name not in _FIRST]
    return html.joined((html.side_by_side(*first), html.folded("other curves", html.side_by_side(*rest))))


def _quantity(tag: str) -> str:
    """`loss` of `meta_train/query_loss` and `meta_train/inner_loss/0`."""
    leaf = tag.partition("/")[2] or tag
    return next((name for name in _FIRST if name in leaf), leaf.replace("_", " "))


def _plot(metrics: Sequence[Mapping[str, Any]], name: str, tags: Sequence[str], bands: set[str]) -> Html:
    lines = {tag: _points(metrics, tag) for tag in tags}
    shown = {tag: points for tag, points in lines.items() if points[0]}
    around = {
        tag: (_points(metrics, f"{tag}_low"), _points(metrics, f"{tag}_high"))
        for tag in shown
        if tag in bands
    }
    said = "Band: 95 % interval over episodes." if around else ""
    return html.figure(plots.curves(shown, around, name), said or name) if shown else Html()


def _points(metrics: Sequence[Mapping[str, Any]], tag: str) -> plots.Points:
    held = [(row["step"], row[tag]) for row in metrics if _finite(row.get(tag))]
    return [step for step, _ in held], [value for _, value in held]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
