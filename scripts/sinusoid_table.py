"""How sinusoid.py writes what it found: table.md, report.json and plot.png."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

SHOWN = (0, 1, 2, 5, 10)
NAMES = {"maml": "MAML", "pretrained": "pre-trained"}
LIMIT = 1000.0
"""Error above which a wave counts as diverged; that of predicting 0 is at most 25."""
COLOURS = {"maml": PALETTE[0], "pretrained": PALETTE[1]}
ABOUT = (
    "y = A sin(x - phase), A from [0.1, 5], phase from [0, π], x from [-5, 5]; a net of two hidden layers of"
    " 40. {steps:,} iterations ({share:.3g} % of the published {published:,}), {seeds} training seeds; 600 "
    "new waves, the same for both, 100 query points each. Mean squared error ± half of its 95 % interval "
    "over waves (every wave's error averaged over seeds first); in brackets the standard deviation between "
    "seeds."
)
LEGEND = (
    "maml: one step of rate 0.01 on 10 points in training, the same rate in evaluation, as published. "
    "pretrained: trained on points of all waves at once; its rate is the one of nine that is best on meta-"
    "val after 10 steps. Difference: MAML minus pre-trained after 10 steps, paired by wave, p Holm-"
    "corrected within a number of points. Diverged: waves, seed by seed, on which the net's error passed "
    "1,000 within 10 steps; they are left out of both rows. Finn, Abbeel & Levine (2017, arXiv 1703.03400) "
    "print curves and no numbers."
)
By = Mapping[int, Mapping[str, Sequence[Any]]]


def write(out: Path, found: By, steps: int, published: int) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, and the curves."""
    seeds = len(next(iter(found[10].values())))
    share = steps / published
    about = ABOUT.format(steps=steps, share=100 * share, published=published, seeds=seeds)
    rows = [row for shot, group in found.items() for row in _rows(shot, group)]
    for row in rows:
        row |= {"schedule": {"iterations": steps, "share_of_published": share}, "seeds": seeds}
    protocol = compare.protocol([own[0].report for own in found[10].values()], "pretrained", None)
    parts = ["# Sinusoid regression", about, _table(rows), LEGEND]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    store.write_json(out / "report.json", {"about": about, "protocol": protocol, "rows": rows})
    store.write_atomic(out / "plot.png", _picture(rows, share))


def _rows(shot: int, group: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows at one number of points: every wave's error averaged over seeds, then compared."""
    stays = np.all([_tame(one.errors) for own in group.values() for one in own], 0)
    errors = {method: np.mean([one.errors[:, stays] for one in own], 0) for method, own in group.items()}
    reports = [_report(own, errors[method][-1]) for method, own in group.items()]
    rows = compare.rows(reports, "pretrained")
    for row, (method, own) in zip(rows, group.items(), strict=True):
        by_seed = [one.errors[:, stays].mean(1) for one in own]
        spread = np.std(by_seed, axis=0, ddof=1).tolist() if len(own) > 1 else None
        lost = [int((~_tame(one.errors)).sum()) for one in own]
        row |= {"method": f"{NAMES[method]}, {shot} points", "net": method, "shot": shot, "diverged": lost}
        by_step = [compare.estimate(waves) for waves in errors[method]]
        row |= {"by_step": [one.mean for one in by_step], "by_step_ci95": [one.ci95 for one in by_step]}
        row |= {"by_step_sd_between_seeds": spread, "by_seed": [float(values[-1]) for values in by_seed]}
    return rows


def _tame(errors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which waves [waves] never see an error above LIMIT, of errors [steps + 1, waves]."""
    return np.all(errors <= LIMIT, 0)  # false for NaN as well


def _report(own: Sequence[Any], scores: NDArray[np.float64]) -> Report:
    """Of all seeds: costs averaged, every chosen rate with how often it was."""
    first = own[0].report
    found = Counter(one.report.facts["selected"].get("rule.lr") for one in own)
    said = ", ".join(f"{lr:g}" + ("" if n == len(own) else f" ({n}x)") for lr, n in found.items() if lr)
    seconds = float(np.mean([one.report.facts["seconds_to_learn"] for one in own]))
    facts = {**first.facts, "seconds_to_learn": seconds, "selected": {"rule.lr": said} if said else {}}
    return Report(first.method, scores, {**first.protocol, "episodes": len(scores)}, facts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "points",
        "net",
        "rate",
        *(f"{s} step{'s' * (s != 1)}" for s in SHOWN),
        "difference",
        "p",
        "diverged",
    ]
    lines = [head, ["--:", "---", "---", *["--:"] * (len(SHOWN) + 3)]]
    for row in rows:
        reference = row["net"] == "pretrained"
        difference = "" if reference else plus_minus(row["difference"], row["difference_ci95"], 3, "+")
        cells = [_cell(row, step) for step in SHOWN]
        rate = row["selected"].get("rule.lr", "0.01")
        lines.append(
            [
                *(str(row["shot"]), row["net"], rate, *cells, difference),
                *("" if reference else p_value(row["p"]), " + ".join(map(str, row["diverged"]))),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Mapping[str, Any], step: int) -> str:
    spread = row["by_step_sd_between_seeds"]
    said = "" if spread is None else f" ({spread[step]:.3f})"
    return plus_minus(row["by_step"][step], row["by_step_ci95"][step], 3) + said


def _picture(rows: Sequence[Mapping[str, Any]], share: float) -> bytes:
    figure = blank(12.8, 5.4)
    shots = sorted({row["shot"] for row in rows})
    left, width, gap = 0.06, 0.245, 0.035
    top = 1.08 * max(
        m + (h or 0.0) for row in rows for m, h in zip(row["by_step"], row["by_step_ci95"], strict=True)
    )
    for place, shot in enumerate(shots):
        axes = bare(
            figure.add_axes((left + place * (width + gap), 0.13, width, 0.63)), keep=("bottom", "left")
        )
        for row in (row for row in rows if row["shot"] == shot):
            mean, half = np.array(row["by_step"]), np.array([h or 0.0 for h in row["by_step_ci95"]])
            colour, at = COLOURS[row["net"]], np.arange(len(mean))
            axes.plot(at, mean, color=colour, linewidth=2, marker="o", markersize=4.5)
            axes.fill_between(at, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0)
            if place == len(shots) - 1:
                end: dict[str, Any] = dict(va="center", annotation_clip=False, fontsize=11)
                axes.annotate(NAMES[row["net"]], (at[-1] + 0.5, mean[-1]), color=colour, **end)
        axes.set_title(f"{shot} points", loc="left", fontsize=12, color=INK)
        axes.set_xlabel("inner steps", color=FAINT)
        axes.set_xlim(-0.3, 10.3)
        axes.set_ylim(0, top)
        axes.set_xticks(range(0, 11, 2))
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        if place:
            axes.set_yticklabels([])
    figure.text(
        0.025,
        0.925,
        "Squared error on a new sine wave, by inner step",
        fontsize=16,
        fontweight="bold",
        color=INK,
    )
    told = "Mean over 600 waves and the training seeds, 95 % intervals over waves; MAML learned on 10 points "
    told += (
        f"with 1 step;\nthe pre-trained net's rate is tuned. {100 * share:.3g} % of the published iterations"
    )
    figure.text(0.025, 0.84, told, fontsize=10, color=FAINT, linespacing=1.4)
    return render.png(figure)
