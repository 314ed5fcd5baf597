"""How people.py writes what it found: table.md, report.json and plot.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hapt_personal_table as tables
from hapt_personal_stats import NONE, PLAIN, By, contrasts, summaries
from matplotlib.figure import Figure

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank

FEW = ("person-in-5", "person-in-10", "person-in-20")
PAIRS = (
    *((own, other) for own in FEW for other in (PLAIN, "kl-anchor", "moments-only")),
    *((f"{own}-frozen", other) for own in FEW for other in (f"{PLAIN}-frozen", NONE)),
    *(("person-in-10", other) for other in ("head-only", "mean-alone")),
    *(("person-in-10", f"person-in-10-{control}") for control in ("random", "permuted", "no-mean")),
    ("person-in-10-no-mean", "person-in-10-shuffled-no-mean"),
    ("person-in-10-frozen", "person-in-10-random-frozen"),
    ("person-in-10-frozen", "kl-anchor-frozen"),
    ("mean-alone", "moments-only"),
    *((own, PLAIN) for own in ("mean-fine-tune", "prior-diagonal", "prior-low-rank", "kl-anchor", "gtl")),
    ("prior-low-rank", "prior-diagonal"),
    ("prior-diagonal", "l2-sp"),
)
"""Each row, and what it is held against."""
ABOUT = (
    "A shared net (1-D convolutions, {body:,} weights) learns from 20 people of HAPT, values are chosen on 5 "
    "others, and 5 more are adapted to with 1 or 5 labelled windows per activity of one recording and judged "
    "on 15 windows per activity of the other; six folds leave every one of the {people} people out once, one "
    "net a fold, five draws a person, the same for every row. Scouts: 42, the shared net personalised to "
    "the people who are learned from (30 steps of SGD). A person in k numbers: weights and output layer move "
    "along the first k principal directions of the scouts' displacements, from their mean, and along nothing "
    "else. Rows called frozen keep the running moments of batch norm, the others take them from the person's "
    "labelled windows. People, not draws, are the independent units: a person's draws are averaged first, "
    "intervals and tests are over people (Student's t), and p is Holm-corrected over a column."
)
BYTES = (
    "Bytes that are kept of a person in float32: what moves, and the means and variances of batch norm where "
    "they are the person's. Not counted: the shared net and the directions, the same for everybody."
)
_BYTES_A_NUMBER = 4


def write(out: Path, found: By) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, and the plot."""
    tests, summary = contrasts(found, PAIRS), {shot: summaries(of) for shot, of in found.items()}
    last = max(found)
    count, body = summary[last][NONE]["people"], found[last][PLAIN].report.facts["trainable"]
    sizes = {name: size(one.report.facts) for name, one in found[last].items()}
    methods = sorted(sizes, key=lambda name: -summary[last][name]["accuracy"])
    parts = ["# Scouts are people", ABOUT.format(body=body, people=count), "## Paired differences"]
    parts += [tables.PAIRED, tables.differences(tests)]
    parts += [
        "## Accuracy and bytes a person",
        f"{tables.ACCURACY} {BYTES}",
        _amounts(summary, methods, sizes),
    ]
    parts += ["## Who was harmed", tables.HARM, tables.amounts(summary, methods, tables.harm)]
    parts += ["## Worst tenth", tables.WORST, tables.amounts(summary, methods, tables.worst)]
    by_shot: dict[str, Any] = {}
    for shot, of in found.items():
        reports = sorted((one.report for one in of.values()), key=lambda report: -report.mean)
        rows, protocol = compare.rows(reports, PLAIN, NONE), compare.protocol(reports, PLAIN, NONE)
        by_shot[str(shot)] = {"protocol": protocol, "rows": rows}
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    told = {"about": parts[1], **by_shot[str(last)], "by_shot": by_shot, "people": summary}
    told |= {"contrasts": tests, "bytes": sizes}
    store.write_json(out / "report.json", compare.plain(told))
    store.write_atomic(out / "plot.png", render.png(picture(summary, sizes, methods)))


def size(facts: Mapping[str, Any]) -> int:
    """Bytes of a person."""
    return _BYTES_A_NUMBER * (facts["trainable"] + facts["moments"])


def _amounts(summary: By, methods: list[str], sizes: Mapping[str, int]) -> str:
    head = ["method", "bytes", *(tables.windows(shot) for shot in summary)]
    body = [
        [name, f"{sizes[name]:,}", *(tables.accuracy(summary[shot][name]) for shot in summary)]
        for name in methods
    ]
    return tables.grid(head, body, 1)


def picture(summary: By, sizes: Mapping[str, int], methods: Sequence[str]) -> Figure:
    """Every row's difference to no personalisation, with the bytes of a person, a panel an amount."""
    rows = [name for name in methods if name != NONE]
    figure = blank(12.8, 1.6 + 0.27 * len(rows))
    top, low = 1 - 1.1 / figure.get_figheight(), 0.55 / figure.get_figheight()
    for place, (shot, of) in enumerate(summary.items()):
        axes = bare(figure.add_axes((0.26 + 0.38 * place, low, 0.34, top - low)), keep=("bottom",))
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        axes.axvline(0, color=INK, linewidth=1)
        for at, name in enumerate(rows):
            control = any(word in name for word in ("random", "permuted", "shuffled"))
            colour = PALETTE[1] if control else PALETTE[0] if name.startswith(FEW) else INK
            gain, half = of[name]["to_none"], of[name]["to_none_ci95"] or 0.0
            axes.errorbar(gain, -at, xerr=half, fmt="o", color=colour, markersize=5, linewidth=1.6)
            if not place:
                style: dict[str, Any] = dict(ha="right", va="center", fontsize=9.5, color=colour)
                said = f"{name}  ({sizes[name]:,} bytes)"
                where = axes.get_yaxis_transform()
                axes.annotate(said, (-0.03, -at), xycoords=where, annotation_clip=False, **style)
        axes.set_yticks([])
        axes.set_ylim(-len(rows) + 0.4, 0.6)
        axes.set_xlabel("points above no personalisation", color=FAINT)
        axes.set_title(f"{tables.windows(shot)} per activity", loc="left", color=INK, fontsize=12)
    high = figure.get_figheight()
    figure.text(0.02, 1 - 0.45 / high, "Scouts are people", fontsize=18, fontweight="bold", color=INK)
    told = "HAPT, every person left out once; bars: 95 % t-interval over people; orange: control directions."
    figure.text(0.02, 1 - 0.72 / high, told, fontsize=11, color=FAINT)
    return figure
