"""Both domains in two dimensions, and the shares of their classes beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl import text
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.shifts.tested import Rows

SHOWN = 800
"""Points of each domain, at most."""
CLASSES = 12
"""Classes whose shares are drawn, at most."""


def picture(report: Mapping[str, Any], x: tuple[Rows, Rows] | None) -> Figure:
    """Left: the two first principal directions of both domains; right: P(Y); titles say the verdict."""
    report = text.each(report, text.drawn)
    figure = blank(12.8, 7.2)
    sides = report["source"]["name"], report["target"]["name"]
    left = bare(figure.add_axes((0.05, 0.09, 0.52, 0.74)), keep=("bottom", "left"))
    if x is None:
        left.text(0.5, 0.5, "no column in common", ha="center", color=FAINT, fontsize=14)
    else:
        _points(left, x, sides)
    if report["labels"]:
        right = figure.add_axes((0.72, 0.09, 0.25, 0.74))
        _shares(bare(right), report["labels"][:CLASSES], sides)
    joined = " or " if report["one_of_them"] else " and "
    named = joined.join(f"{kind} shift" for kind in report["shifts"]) or "no shift shown"
    figure.text(0.025, 0.93, f"{sides[0]} to {sides[1]}: {named}", fontsize=20, weight="bold", color=INK)
    figure.text(0.025, 0.885, _said(report), fontsize=12, color=FAINT)
    return figure


def _said(report: Mapping[str, Any]) -> str:
    from metatl.lab.render.tables import p_value

    found: dict[str, float] = {}
    for test in report["tests"]:
        if test["p_holm"] is not None:
            found[test["question"]] = min(test["p_holm"], found.get(test["question"], 1.0))
    each = [f"{question}: p {p_value(p)}" for question, p in found.items()]
    return ", ".join([f"{report['setting']}; corrected by Holm", *each])


def _points(axes: Axes, x: tuple[Rows, Rows], names: Sequence[str]) -> None:
    for rows, name, colour, mark in zip(x, names, PALETTE, "o^", strict=False):
        some = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)]
        second = some[:, 1] if some.shape[1] > 1 else np.zeros(len(some))
        axes.scatter(some[:, 0], second, s=14, c=colour, marker=mark, alpha=0.5, linewidths=0, label=name)
    axes.set_xlabel("first direction of both domains' variance", fontsize=11, color=FAINT)
    axes.set_ylabel("second", fontsize=11, color=FAINT)
    axes.legend(frameon=False, fontsize=12, loc="best")


def _shares(axes: Axes, classes: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """A bar of each class for each domain; the target's is an estimate where it has no labels."""
    known = any(one["target"] is not None for one in classes)
    keys = ("source", "target" if known else "estimated")
    said = names[0], names[1] if known else f"{names[1]} (estimated)"
    for place, (key, name) in enumerate(zip(keys, said, strict=True)):
        at = np.arange(len(classes)) + 0.38 * (place - 0.5)
        share = [100 * (one[key] or 0.0) for one in classes]
        axes.barh(at, share, 0.36, color=PALETTE[place], label=name)
    axes.set_yticks(range(len(classes)), [str(one["class"])[:18] for one in classes], fontsize=11)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g} %")
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title("P(Y)", fontsize=13, color=INK, loc="left")
