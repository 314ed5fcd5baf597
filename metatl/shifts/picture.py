"""Both domains in two dimensions, before and after adaptation, and the shares of their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl import text
from metatl.alignments import CORAL
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.shifts.tested import Rows

SHOWN = 800
"""Points of each domain, at most."""
CLASSES = 12
"""Classes whose shares are drawn, at most."""


def picture(report: Mapping[str, Any], x: tuple[Rows, Rows] | None) -> Figure:
    """Two principal directions, as they are and after CORAL (outermost 1 % cut off); P(Y); the verdict."""
    report = text.each(report, text.drawn)
    figure = blank(12.8, 7.2)
    sides = report["source"]["name"], report["target"]["name"]
    panels = [
        bare(figure.add_axes((0.05 + 0.31 * i, 0.09, 0.28, 0.7)), keep=("bottom", "left")) for i in range(2)
    ]
    if x is None or not x[0].size:
        said = "no column in common" if x is None else "no column varies"
        panels[0].text(0.5, 0.5, said, ha="center", color=FAINT, fontsize=14)
        panels[1].set_visible(False)
    else:
        both = x, adapted(x)
        for axes, rows, title in zip(panels, both, ("as they are", "after CORAL"), strict=True):
            _points(axes, rows, sides)
            axes.set_xlim(*_inner([own[:, 0] for pair in both for own in pair]))
            if x[0].shape[1] > 1:
                axes.set_ylim(*_inner([own[:, 1] for pair in both for own in pair]))
            axes.set_title(title, fontsize=13, color=INK, loc="left")
        panels[1].set_ylabel("")
        panels[0].legend(frameon=False, fontsize=11, loc="best")
    if report["labels"]:
        right = figure.add_axes((0.78, 0.09, 0.2, 0.7))
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


def adapted(x: tuple[Rows, Rows]) -> tuple[Rows, Rows]:
    """The source [n, d] with the target's mean and covariance (CORAL), and the target [m, d].

    The regularisation is a hundredth of the directions' mean variance.
    """
    source, target = (torch.from_numpy(np.ascontiguousarray(rows, np.float64)) for rows in x)
    spread = float(torch.cat([source, target]).var(0).mean())
    moved = CORAL(max(spread, 1e-12) / 100).recoloured(source, target)
    return moved.numpy(), x[1]


def _inner(values: Sequence[Rows]) -> tuple[float, float]:
    """Where all but the outermost hundredth lie, with a margin: single rows far out would hide the others."""
    low, high = np.quantile(np.concatenate(values), (0.005, 0.995))
    margin = 0.15 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _points(axes: Axes, x: tuple[Rows, Rows], names: Sequence[str]) -> None:
    for rows, name, colour, mark in zip(x, names, PALETTE, "o^", strict=False):
        some = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int)]
        second = some[:, 1] if some.shape[1] > 1 else np.zeros(len(some))
        axes.scatter(some[:, 0], second, s=14, c=colour, marker=mark, alpha=0.5, linewidths=0, label=name)
    axes.set_xlabel("first direction of both domains' variance", fontsize=11, color=FAINT)
    axes.set_ylabel("second", fontsize=11, color=FAINT)


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
