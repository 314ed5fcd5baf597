"""Domain and task: what may differ between a source and a target, shown on digits and tested."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from examples.lectures.photos import on_photos
from examples.lectures.style import FAINT, INK, LINE, PALETTE, Picture, digits, sheet, shown
from metatl.shifts.compared import compared

ROWS, EACH = 200, 4
"""Rows of each side that are compared, and how many are shown."""


class Side(NamedTuple):
    """Inputs [n, ...], class indices [n] and the classes' names."""

    x: Tensor
    y: Tensor
    names: tuple[str, ...]


def pairs() -> dict[str, tuple[Side, Side]]:
    """Source and target for each difference."""
    x, y = digits(16)
    here, there = slice(5, ROWS + 5), slice(ROWS + 5, 2 * ROWS + 5)
    named, yes = tuple(map(str, range(10))), ("no", "yes")
    source, even = Side(x[here], y[here], named), (y[there] % 2 == 0).long()
    return {
        "X: pixels, and the ink of every column": (source, Side(x[there].sum(2), y[there], named)),
        "P(X): on paper, and on photos": (source, Side(on_photos(x[there]), y[there], named)),
        "Y: which digit, and odd or even": (source, Side(x[there], even, ("odd", "even"))),
        "P(Y | X): at least 5? and even?": (
            Side(x[here], (y[here] >= 5).long(), yes),
            Side(x[there], even, yes),
        ),
    }


def told(source: Side, target: Side) -> dict[str, bool]:
    """Whether spaces are unlike and tests at level 0.05 see a difference, where there is something to test."""
    found = {"X": source.x[0, 0].shape != target.x[0, 0].shape, "Y": source.names != target.names}
    if not any(found.values()):
        flat = [one.x.mean(1).flatten(1).double().numpy() for one in (source, target)]
        tests = compared(*flat, source.y.numpy(), target.y.numpy(), len(source.names))
        found |= {name: bool(tests.differs(name)) for name in ("P(X)", "P(Y)", "P(Y given X)")}
    return found


def side(figure: Any, grid: Any, of: Side) -> None:
    """Some inputs with their labels below."""
    for place in range(EACH):
        axes, one = figure.add_subplot(grid[place]), of.x[place]
        if one.dim() == 2:
            axes.bar(range(one.shape[1]), one[0], color=INK)
            axes.set(xticks=[], yticks=[])
        else:
            shown(axes, one[0] if len(one) == 1 else one.permute(1, 2, 0))
        for spine in axes.spines.values():
            spine.set_color(LINE)
        axes.set_box_aspect(1)
        axes.set_xlabel(of.names[of.y[place]], fontsize=11, color=PALETTE[0], labelpad=2)


def said(found: dict[str, bool]) -> str:
    """The name of the setting, and what was tested."""
    named = "Inductive transfer" if found["Y"] or found.get("P(Y given X)") else "Domain adaptation"
    if found["X"]:
        return "Heterogeneous transfer: another feature space."
    if found["Y"]:
        return f"{named}: another label space."
    seen, not_seen = (
        [name for name, value in found.items() if "P" in name and value == is_] for is_ in (True, False)
    )
    return f"{named}. Tests see it in {', '.join(seen)}, not in {', '.join(not_seen)}."


def draw() -> Picture:
    figure, numbers = sheet(7.2), dict[str, float]()
    rows = figure.add_gridspec(4, 2, left=0.03, right=0.97, top=0.9, bottom=0.05, hspace=0.75, wspace=0.12)
    figure.text(0.03, 0.965, "Source", fontsize=13, weight="bold", color=INK)
    figure.text(0.53, 0.965, "Target", fontsize=13, weight="bold", color=INK)
    for place, (what, both) in enumerate(pairs().items()):
        found = told(*both)
        numbers |= {f"{what.split(':')[0]}: {name}": float(value) for name, value in found.items()}
        for column, one in enumerate(both):
            side(figure, rows[place, column].subgridspec(1, EACH, wspace=0.12), one)
        top = rows[place, 0].get_position(figure).y1
        figure.text(0.03, top - 0.004, what, fontsize=12, color=INK)
        figure.text(0.03, top - 0.152, said(found), fontsize=10.5, color=FAINT)
    return Picture(figure, numbers)
