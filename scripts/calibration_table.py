"""How calibration.py writes what it found: table.md, report.json and plot.png."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from calibration_numbers import LEFT, RESAMPLED, contrasts, numbers
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

TITLES = {
    "omniglot": "Omniglot, 5-way 1-shot",
    "hapt-1": "HAPT, 1 window of each activity",
    "hapt-5": "HAPT, 5 windows of each activity",
}
ABOUT = (
    "{nets} net{s} of each row (training seeds), {share}. Omniglot: a Conv4 of 32 filters, the same new "
    "tasks for all rows, 15 queries a class. HAPT: every one of the 30 people left out once in six folds, a "
    "person's windows of one recording as support, of the other as queries; a 1-D net of 12k weights; rows "
    "that learn over people do so on 5 windows. Inductive. Values are chosen by log loss on meta-val (other "
    "characters, other people), the temperature is fitted there afterwards."
)
LEGEND = (
    "NLL: mean of -log p of the label, nats a query row; ECE: calibration error over all rows, 15 bins, in "
    "points (of few rows it lies above 0 even where probabilities are true). At T: outputs divided by the "
    "temperature of least log loss on meta-val. Error: of all rows, and of those that are answered where the "
    "fifth with the lowest probability is left to a person, in percent. ± half of the 95 % interval over "
    "tasks (Omniglot) or people (HAPT), by Student's t; brackets: {resampled} resamples of them. Means over "
    "nets first, so intervals say nothing of other nets. ensemble: fits to one support set under drawn row "
    "weights; -of-nets: the mean probabilities of nets of several seeds."
)
Found = Mapping[str, Mapping[str, Mapping[str, Any]]]
Styles = Mapping[str, tuple[str, Any]]


def write(out: Path, found: Found, nets: int, share: float) -> None:
    """Of every setting's rows so far."""
    told: dict[str, Any] = {}
    for setting, rows in found.items():
        if rows:
            own = {row: {**numbers(of["nets"]), "selected": of["selected"]} for row, of in rows.items()}
            tests = contrasts({row: of["nets"] for row, of in rows.items()})
            told[setting] = {"rows": own, "contrasts": tests}
    steps = "all steps of the configs" if share == 1 else f"{100 * share:.3g} % of their steps"
    about = ABOUT.format(nets=nets, s="" if nets == 1 else "s", share=steps)
    parts = ["# How far probabilities are to be trusted", about]
    for setting, of in told.items():
        parts += [f"## {TITLES[setting]}", _rows(of["rows"])]
        if of["contrasts"]:
            parts += [
                "Log loss at T, paired, p Holm-corrected over these lines; below 0 is better than the other.",
                _tests(of["contrasts"]),
            ]
        parts.append(
            "Chosen most often: " + "; ".join(_chosen(row, o) for row, o in of["rows"].items()) + "."
        )
    parts.append(LEGEND.format(resampled=RESAMPLED))
    store.make_folder(out)
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    store.write_json(out / "report.json", compare.plain({"about": about, "settings": told}))
    store.write_atomic(out / "plot.png", render.png(picture(told)))


def _rows(rows: Mapping[str, Mapping[str, Any]]) -> str:
    head = ["row", "T", "accuracy, %", "NLL", "NLL at T", "ECE", "ECE at T", "error, %", "20 % left, %"]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["nll_tempered"]):
        ends = ("ece", "ece_tempered")
        lines.append(
            [
                name,
                f"{np.median(row['temperatures']):.2f}",
                plus_minus(row["accuracy"], row["accuracy_ci95"], 1),
                *(plus_minus(row[key], row[f"{key}_ci95"], 3) for key in ("nll", "nll_tempered")),
                *(f"{row[key]:.1f} {_ends(row[f'{key}_ci95'])}" for key in ends),
                f"{100 - row['accuracy']:.1f}",
                f"{row['error_20']:.1f} {_ends(row['error_20_ci95'])}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ends(ends: Sequence[float]) -> str:
    return f"[{ends[0]:.1f}, {ends[1]:.1f}]"


def _tests(tests: Sequence[Mapping[str, Any]]) -> str:
    lines = [["row", "against", "difference, nats", "p"], ["---", "---", "--:", "--:"]]
    lines += [
        [t["row"], t["against"], plus_minus(t["difference"], t["ci95"], 3, "+"), p_value(t["p"])]
        for t in tests
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _chosen(name: str, row: Mapping[str, Any]) -> str:
    keys = dict.fromkeys(key for one in row["selected"] for key in one)
    values = {key: Counter(one[key] for one in row["selected"]).most_common(1)[0][0] for key in keys}
    return f"{name} " + (", ".join(f"{key} {value:g}" for key, value in values.items()) or "nothing")


def picture(told: Mapping[str, Any]) -> Figure:
    """A line of panels for each setting: NLL and ECE before and after the temperature, error left."""
    height = 4.4 * len(told) + 0.7
    names = sorted({row for of in told.values() for row in of["rows"]})
    styles = {row: _style(place) for place, row in enumerate(names)}
    figure = blank(13.5, height)
    for place, (setting, of) in enumerate(told.items()):
        bottom, tall = (4.4 * (len(told) - 1 - place) + 0.75) / height, 3.2 / height
        rows = dict(sorted(of["rows"].items(), key=lambda item: item[1]["nll_tempered"]))
        for at, (key, name) in enumerate((("nll", "NLL, nats"), ("ece", "calibration error, points"))):
            axes = bare(figure.add_axes((0.11 + 0.24 * at, bottom, 0.21, tall)), keep=("bottom",))
            _dumbbells(axes, rows, styles, key, name)
            if not at:
                _names(axes, rows, styles)
        axes = bare(figure.add_axes((0.62, bottom, 0.24, tall)), keep=("left", "bottom"))
        _curves(axes, rows, styles)
        figure.text(0.02, bottom + tall + 0.25 / height, TITLES[setting], fontsize=13, color=INK)
    title = "Probabilities as they are (open) and at a temperature from meta-val (filled)"
    figure.text(0.02, 1 - 0.4 / height, title, fontsize=15, fontweight="bold", color=INK)
    return figure


def _dumbbells(axes: Axes, rows: Mapping[str, Any], styles: Styles, key: str, name: str) -> None:
    for place, (row, of) in enumerate(rows.items()):
        before, tempered, colour = of[key], of[f"{key}_tempered"], styles[row][0]
        axes.plot([before, tempered], [-place] * 2, color=LINE, linewidth=2, zorder=1)
        axes.plot([before], [-place], "o", color=colour, markerfacecolor="white", markersize=6)
        axes.plot([tempered], [-place], "o", color=colour, markersize=6)
    axes.set_yticks([])
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_xlabel(name, color=FAINT)


def _names(axes: Axes, rows: Mapping[str, Any], styles: Styles) -> None:
    for place, row in enumerate(rows):
        axes.annotate(
            row, (-0.04, -place), xycoords=axes.get_yaxis_transform(), ha="right", va="center",
            fontsize=9, color=styles[row][0], annotation_clip=False,
        )  # fmt: skip


def _curves(axes: Axes, rows: Mapping[str, Any], styles: Styles) -> None:
    for row, of in rows.items():
        colour, line = styles[row]
        axes.plot(100 * LEFT, of["error_left"], color=colour, linestyle=line, linewidth=1.5, label=row)
    axes.set_xlabel("left to a person, % (the least sure rows)", color=FAINT)
    axes.set_ylabel("error of the others, %", color=FAINT)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 90)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1.02))


def _style(place: int) -> tuple[str, Any]:
    """Colour and line of a row, the same in all panels."""
    return PALETTE[place % len(PALETTE)], ("-", (0, (4, 2)), (0, (1, 1.5)))[place // len(PALETTE) % 3]
