"""Domain and task: what may differ between a source and a target, shown on digits and tested."""

from __future__ import annotations

from typing import Any

from examples.lectures.differences import Side, pairs
from examples.lectures.style import BLUE, FAINT, INK, LINE, Picture, sheet, shown
from metatl.shifts.compared import compared

EACH = 4
"""Rows of each side that are shown."""


def told(source: Side, target: Side) -> dict[str, bool]:
    """Whether spaces are unlike and, where they are not, whether tests at level 0.05 see a difference."""
    found = {"X": source.x[0, 0].shape != target.x[0, 0].shape, "Y": source.names != target.names}
    if not any(found.values()):
        flat = [one.x.mean(1).flatten(1).double().numpy() for one in (source, target)]
        tests = compared(flat[0], flat[1], source.y.numpy(), target.y.numpy(), len(source.names))
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
        axes.set_xlabel(of.names[of.y[place]], fontsize=11, color=BLUE, labelpad=2)


def said(found: dict[str, bool]) -> str:
    """The name of the setting, and what was tested."""
    named = "Inductive transfer" if found["Y"] or found.get("P(Y given X)") else "Domain adaptation"
    if found["X"]:
        return "Heterogeneous transfer: another feature space."
    if found["Y"]:
        return f"{named}: another label space."
    seen = ", ".join(name for name, value in found.items() if value)
    return f"{named}. Tests see it in {seen}, not in {', '.join(n for n in found if 'P' in n and n != seen)}."


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
