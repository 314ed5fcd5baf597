"""How gtl_family.py writes what it found: table.md, report.json and the heat maps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gtl_nets import by_net
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

AGAINST = {"plain": "fine-tuning", "permuted": "the same guide permuted"}
SHAPES = {0.0: "mask (FISH's shape)", 0.5: "root mean square", 1.0: "mean square (GTL's shape)"}
TITLE = "From Fisher information to GTL's guide: where do placed updates beat plain ones?"
Tests = Sequence[Mapping[str, Any]]
Names = Mapping[str, str]
Place = tuple[str, float, float]


def contrasts(
    plain: Report, guided: Mapping[Place, Report], permuted: Mapping[Place, Report]
) -> list[dict[str, Any]]:
    """Every cell against fine-tuning and against its permuted control, Holm-corrected over all of them."""
    pairs = [(place, to) for to in AGAINST for place in guided]
    others = [plain if to == "plain" else permuted[place] for place, to in pairs]
    both = zip(pairs, others, strict=True)
    tests = [compare.paired(guided[place].scores, other.scores).times(100) for (place, _), other in both]
    corrected = compare.holm([test.p for test in tests])
    return [
        {
            **dict(zip(("statistic", "power", "density"), place, strict=True)),
            "against": AGAINST[to],
            "difference": t.mean,
            "ci95": t.ci95,
            "p": p,
            "by_net": by_net(guided[place], other),
        }
        for (place, to), other, t, p in zip(pairs, others, tests, corrected, strict=True)
    ]


def write(out: Path, names: Names, reports: Sequence[Report], tests: Tests, about: str) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, plot.png."""
    reports = sorted(reports, key=lambda found: -found.mean)
    rows = compare.rows(reports, "fine-tune", "scratch")
    protocol = compare.protocol(reports, "fine-tune", "scratch")
    parts = ["# The statistic family", about]
    for against in AGAINST.values():
        parts += [f"## Points above {against}", _table(tests, against, names)]
    parts += ["## All cells", render.markdown(rows, protocol, times=False).strip()]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    made = {"about": about, "protocol": protocol, "rows": rows, "contrasts": tests}
    store.write_json(out / "report.json", made)
    store.write_atomic(out / "plot.png", render.png(_maps(tests, names, protocol)))


def _found(tests: Tests, against: str) -> dict[tuple[float, float, str], Mapping[str, Any]]:
    return {(t["power"], t["density"], t["statistic"]): t for t in tests if t["against"] == against}


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _table(tests: Tests, against: str, names: Names) -> str:
    found = _found(tests, against)
    lines = [["shape", "density", *(name.replace("\n", " ") for name in names.values())]]
    lines.append(["---", "--:", *["--:"] * len(names)])
    for power, density in sorted({key[:2] for key in found}):
        cells = [found[power, density, statistic] for statistic in names]
        said = [plus_minus(c["difference"], c["ci95"], 2, "+") + "*" * compare.shown(c["p"]) for c in cells]
        lines.append([SHAPES[power], _percent(density), *said])
    least = p_value(min((cell["p"] for cell in found.values() if cell["p"] is not None), default=None))
    note = f"*: p < 0.05, Holm-corrected over all {len(tests)} comparisons; smallest p here: {least}."
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{note}"


def _maps(tests: Tests, names: Names, protocol: Mapping[str, Any]) -> Figure:
    figure, high = blank(13.6, 7.6), max(0.5, *(abs(t["difference"]) for t in tests))
    densities = sorted({t["density"] for t in tests})
    for (row, against), (column, power) in itertools.product(enumerate(AGAINST.values()), enumerate(SHAPES)):
        axes = bare(figure.add_axes((0.105 + 0.298 * column, 0.49 - 0.385 * row, 0.285, 0.33)))
        _map(axes, _found(tests, against), power, densities, list(names), high)
        axes.set_yticks(range(len(densities)), [_percent(d) for d in densities] if column == 0 else [])
        axes.set_xticks(range(len(names)), list(names.values()) if row == 1 else [""] * len(names))
        if row == 0:
            axes.set_title(SHAPES[power], fontsize=11.5, color=INK, loc="left")
        if column == 0:
            axes.set_ylabel(f"minus {against}", fontsize=10.5, color=INK)
    figure.text(0.02, 0.945, TITLE, fontsize=16, fontweight="bold", color=INK)
    half = float(np.median([t["ci95"] or 0.0 for t in tests]))
    told = f"Points of accuracy, {protocol['way']}-way {protocol['shot']}-shot, {protocol['episodes']} "
    told += f"meta-test episodes; 95 % intervals ± {half:.2f} (median); framed: p < 0.05, Holm-corrected"
    figure.text(0.02, 0.905, told, fontsize=10, color=FAINT)
    figure.text(
        0.02, 0.865, "down: weights that may move; across: steps of a scout", fontsize=10, color=FAINT
    )
    return figure


def _map(
    axes: Axes,
    found: Mapping[Any, Mapping[str, Any]],
    power: float,
    densities: Sequence[float],
    statistics: Sequence[str],
    high: float,
) -> None:
    values = np.full((len(densities), len(statistics)), np.nan)
    for (i, density), (j, statistic) in itertools.product(enumerate(densities), enumerate(statistics)):
        cell = found.get((power, density, statistic))
        if cell is None:
            continue
        values[i, j] = cell["difference"]
        colour = "white" if abs(values[i, j]) > 0.6 * high else INK
        frame = {"boxstyle": "round", "facecolor": "none", "edgecolor": colour}
        place: dict[str, Any] = dict(ha="center", va="center", fontsize=9.5, color=colour)
        said = f"{round(values[i, j], 1) + 0.0:+.1f}"  # no "-0.0"
        axes.text(j, i, said, bbox=frame if compare.shown(cell["p"]) else None, **place)
    if np.isnan(values[-1]).all():
        said = "a mask of all weights is fine-tuning"
        axes.text(len(statistics) / 2 - 0.5, len(densities) - 1, said, ha="center", va="center", color=FAINT)
    axes.imshow(values, cmap="RdBu", norm=TwoSlopeNorm(0, -high, high), aspect="auto", origin="lower")
