"""How negative.py writes what it found: table.md, report.json and the curves with the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

FLOOR, REFITTED = "source only", "refitted"
AGAINST: dict[str, str] = dict.fromkeys(("CORAL", "weights by classifier", "label shift weights"), REFITTED)
"""What a row's gain is over, where that is not the source alone."""
ABOUT = (
    "4,000 labelled images of MNIST, every digit alike; 1,500 of USPS without labels, a share s of which is "
    "of the digits 0 to 4 alone (the rest: every digit alike); 16 pixels, the net of Ganin & Lempitsky, "
    "{steps} steps, {seeds} seed{s} (net and draw). Judged on all 2,007 test images of USPS, weighted to the "
    "target's shares. Accuracy in percent; gains in brackets are on the same images, over source only, of "
    "CORAL and the two weightings over refitted: ± half of the 95 % "
    "interval over images, seeds averaged first (it says nothing of other seeds), p Holm-corrected within a "
    "strength. refitted: logistic regression on the source net's features, which CORAL and both weightings "
    "share. All values are fixed beforehand."
)
Right = Mapping[str, Mapping[float, Sequence[NDArray[np.float64]]]]


def write(
    out: Path, right: Right, verdicts: Mapping[float, Any], shares: Any, y: NDArray[np.int64], steps: int
) -> None:
    """Of the strengths so far."""
    seeds = len(next(iter(verdicts.values())))
    told = {s: _rows(right, s, shares[s], y) for s in verdicts}
    named = {s: _verdict(of) for s, of in verdicts.items()}
    about = ABOUT.format(steps=steps, seeds=seeds, s="" if seeds == 1 else "s")
    parts = ["# When does adaptation harm?", about, _accuracies(told), "## What the shift tests say"]
    parts += [
        _verdicts(named),
        "Median p over seeds, Holm-corrected over a pair's tests; the name given most often.",
    ]
    store.make_folder(out)
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    kept = [{"strength": s, "rows": told[s], "shift": named[s]} for s in told]
    store.write_json(out / "report.json", compare.plain({"about": about, "strengths": kept}))
    store.write_atomic(out / "plot.png", render.png(picture(told, named)))


def _rows(right: Right, strength: float, shares: NDArray[np.float64], y: NDArray[np.int64]) -> dict[str, Any]:
    """Of every row: weights of images n P(y) / n_y make their mean the accuracy at these shares."""
    weight = len(y) * shares[y] / np.bincount(y, minlength=len(shares))[y]
    each = {row: 100 * weight * np.array(of[strength]) for row, of in right.items()}
    others = [row for row in each if row != FLOOR]
    tests = {row: compare.paired(each[row].mean(0), each[AGAINST.get(row, FLOOR)].mean(0)) for row in others}
    p = dict(zip(others, compare.holm([tests[row].p for row in others]), strict=True))
    found = dict[str, Any]()
    for row, values in each.items():
        mean = compare.estimate(values.mean(0))
        found[row] = {"accuracy": mean.mean, "ci95": mean.ci95, "seeds": values.mean(1).tolist()}
        if row != FLOOR:
            found[row] |= {"gain": tests[row].mean, "gain_ci95": tests[row].ci95, "p": p[row]}
            found[row]["gain_by_seed"] = (values.mean(1) - each[AGAINST.get(row, FLOOR)].mean(1)).tolist()
    return found


def _verdict(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over seeds."""
    found = dict[str, Any]()
    for key in each[0]:
        tests = each[0][key]["p"]
        p = {t: [one[key]["p"][t] for one in each if one[key]["p"][t] is not None] for t in tests}
        found[key] = {"p": {t: float(np.median(v)) if v else None for t, v in p.items()}}
        found[key]["named"] = Counter(one[key]["named"] for one in each).most_common(1)[0][0]
        shares = found[key]["p"].get("labels")  # there where the target's labels are
        if shares is not None and shares < 0.05:
            found[key]["named"] += "; class shares differ"
    return found


def _accuracies(told: Mapping[float, Any]) -> str:
    lines = [["row", *(f"s = {s:g}" for s in told)], ["---", *["--:"] * len(told)]]
    for row in next(iter(told.values())):
        cells = [row]
        for of in told.values():
            own = of[row]
            said = plus_minus(own["accuracy"], own["ci95"], 1)
            if row != FLOOR:
                said += f" ({plus_minus(own['gain'], own['gain_ci95'], 1, '+')}, p {p_value(own['p'])})"
            cells.append(said)
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdicts(named: Mapping[float, Any]) -> str:
    lines = [["target's labels", "", *(f"s = {s:g}" for s in named)], ["---", "---", *["---"] * len(named)]]
    for key, about in (("unlabelled", "none"), ("labelled", "all")):
        lines.append([about, "named", *(of[key]["named"] for of in named.values())])
        lines += [
            [about, f"p, {test}", *(p_value(of[key]["p"][test]) for of in named.values())]
            for test in next(iter(named.values()))[key]["p"]
        ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(told: Mapping[float, Any], named: Mapping[float, Any]) -> Figure:
    """Accuracy and gain against the strength of the shift, the verdicts below."""
    figure, at = blank(12.5, 6.6), list(told)
    for place, (key, title) in enumerate(
        (("accuracy", "accuracy, %"), ("gain", "gain, points (CORAL, weights: over refitted)"))
    ):
        axes = bare(figure.add_axes((0.06 + 0.42 * place, 0.3, 0.36, 0.53)), keep=("left", "bottom"))
        for colour, row in enumerate(next(iter(told.values()))):
            if key == "gain" and row == FLOOR:
                continue
            own = [told[s][row] for s in at]
            half = [one["ci95" if key == "accuracy" else "gain_ci95"] or 0.0 for one in own]
            style: dict[str, Any] = dict(color=PALETTE[colour % len(PALETTE)], markersize=4, linewidth=1.6)
            style["linestyle"] = "-" if colour < len(PALETTE) else "--"
            shift = 0.006 * (colour - 4)
            axes.errorbar(
                [s + shift for s in at], [one[key] for one in own], half, marker="o", label=row, **style
            )
        if key == "gain":
            axes.axhline(0, color=INK, linewidth=1)
            handles = figure.axes[0].get_legend_handles_labels()
            axes.legend(*handles, frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        axes.set_xticks(at, [f"{s:g}" for s in at])
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.set_xlabel("label shift: share of the target that is of 0 to 4 alone", color=FAINT)
        _below(figure, axes.get_position().x0, 0.36, at, named, first=not place)
    figure.text(0.02, 0.93, "When does adaptation harm?", fontsize=17, fontweight="bold", color=INK)
    said = "MNIST to USPS; bars: 95 % intervals over test images. Below: what metatl shift names."
    figure.text(0.02, 0.885, said, fontsize=10.5, color=FAINT)
    return figure


def _below(figure: Figure, left: float, width: float, at: list[float], named: Any, first: bool) -> None:
    """The verdict without the target's labels left, with them right."""
    key = "unlabelled" if first else "labelled"
    words = "without the target's labels" if first else "with the target's labels"
    figure.text(left, 0.175, f"named {words}:", fontsize=9, color=FAINT)
    low, high = min(at), max(at)
    for s in at:
        x = left + width * (0.045 + 0.91 * (s - low) / ((high - low) or 1))
        text = named[s][key]["named"].replace(" or ", "\nor ").replace(" and ", "\nand ")
        text = text.replace("; class shares ", "\nclass shares\n")
        figure.text(x, 0.155, text, fontsize=9, color=INK, ha="center", va="top")
