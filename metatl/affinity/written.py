"""What the command leaves: table, picture; and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from metatl import text
from metatl.affinity.report import grid
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, bare, blank

_LONGEST = 18
"""Characters of a task's name beside the picture."""


def write(folder: Path, found: dict[str, Any]) -> tuple[str, ...]:
    """The files that were written."""
    store.write_json(folder / "report.json", found)
    store.write_text(folder / "table.md", markdown(found))
    store.write_atomic(folder / "affinity.png", render.png(picture(found)))
    return "table.md", "report.json", "affinity.png"


def summary(found: dict[str, Any]) -> list[str]:
    """What is said in words: how many pairs help and harm, and which estimate tells it."""
    pairs, protocol = found["pairs"], found["protocol"]
    helped, harmed = (sum(pair[what] for pair in pairs) for what in ("help", "harm"))
    mean = float(np.mean([pair["gain"] for pair in pairs]))
    first = f"{len(pairs)} pairs of {len(protocol['tasks'])} tasks, {protocol['labelled']} labelled, "
    first += f"{protocol['draws']} draws: {helped} help and {harmed} harm (Holm, 5 %); "
    said = [f"{first}mean gain {_gain(mean, protocol)}"]
    known = [one for one in found["estimates"] if one["tau"] is not None]
    if known:
        best = max(known, key=lambda one: one["tau"])
        said.append(f"the estimate that orders sources best: {best['estimate']}, weighted tau {_tau(best)}")
    return said


def markdown(found: dict[str, Any]) -> str:
    """table.md."""
    found = text.each(found, text.markdown)
    protocol, names = found["protocol"], found["protocol"]["tasks"]
    marked = {(pair["source"], pair["target"]): _pair(pair, protocol) for pair in found["pairs"]}
    rows = [[source, *(marked.get((source, target), "") for target in names)] for source in names]
    scratch = ["scratch", *(_score(found["scratch"][name]["score"], protocol) for name in names)]
    helps = [
        [
            one["estimate"],
            _tau(one),
            str(one["targets"]),
            "" if one["picked"] is None else _gain(one["picked"], protocol),
        ]
        for one in found["estimates"]
    ]
    best, mean = _references(found)
    helps += [
        ["(the best source)", "1", "", _gain(best, protocol)],
        ["(a source by chance)", "0", "", _gain(mean, protocol)],
    ]
    gains = (
        f"Gain in {protocol['score']} over learning the target (columns) from nothing, from each source "
        "(rows), on the same labelled rows; **bold**: shown to help, *negative transfer in italics with a "
        "cross*: shown to harm (paired over draws and rows, Holm over all pairs)."
    )
    order = (
        "How well each estimate orders a target's sources: weighted Kendall's tau with the gains, mean over "
        "targets, 95 % bootstrap interval over targets; and the gain of the source that it puts first."
    )
    parts = [
        f"# Which task helps which: {protocol['data']}",
        "\n".join(f"{one[:1].upper()}{one[1:]}.  " for one in summary(found)),
        gains,
        _table([["source", *names], scratch, *rows]),
        order,
        _table([["estimate", "tau", "targets", "gain of its choice"], *helps]),
        "\n".join(f"- {note}" for note in [protocol["way"], *protocol["left_out"], *protocol["notes"]]),
    ]
    return "\n\n".join(parts) + "\n"


def _references(found: dict[str, Any]) -> tuple[float, float]:
    """Mean over targets of the best source's gain, and of the mean source's."""
    gains = grid(found["pairs"], found["protocol"]["tasks"], lambda pair: pair["gain"])
    return float(np.nanmax(gains, 0).mean()), float(np.nanmean(gains))


def _pair(pair: dict[str, Any], protocol: dict[str, Any]) -> str:
    said = _gain(pair["gain"], protocol)
    return f"**{said}**" if pair["help"] else f"*{said} ✗*" if pair["harm"] else said


def _gain(value: float, protocol: dict[str, Any]) -> str:
    return f"{value:+.1f}" if protocol["unit"] else f"{value:+.3g}"


def _score(value: float, protocol: dict[str, Any]) -> str:
    return f"{value:.1f}" if protocol["unit"] else f"{value:.4g}"


def _tau(one: dict[str, Any]) -> str:
    if one["tau"] is None:
        return ""
    ends = "" if one["ci95"] is None else f" [{one['ci95'][0]:.2f}, {one['ci95'][1]:.2f}]"
    return f"{one['tau']:.2f}{ends}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def picture(found: dict[str, Any]) -> Figure:
    """The gains as colours, sources down, targets across; a cross: negative transfer, a dot: help."""
    protocol = text.each(found["protocol"], text.drawn)
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in protocol["tasks"]]
    gains = grid(found["pairs"], found["protocol"]["tasks"], lambda pair: pair["gain"])
    marks = grid(found["pairs"], found["protocol"]["tasks"], lambda pair: pair["help"] - pair["harm"])
    size = min(14.0, max(5.0, 0.62 * len(names) + 2.5))
    figure = blank(size + 1.0, size, dpi=110)
    axes = bare(figure.add_subplot())
    most = max(1e-12, float(np.nanmax(np.abs(gains))))
    shown = axes.imshow(gains, cmap="PuOr_r", vmin=-most, vmax=most)
    few = len(names) <= 16
    for i, j in np.argwhere(~np.isnan(gains)):
        mark = {1.0: "•", -1.0: "✗"}.get(float(marks[i, j]), "")
        said = f"{_gain(float(gains[i, j]), protocol)}\n{mark}" if few else mark
        ink = INK if abs(gains[i, j]) < 0.6 * most else "white"
        axes.text(j, i, said, ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("target", color=FAINT)
    axes.set_ylabel("source", color=FAINT)
    axes.set_title(
        f"Gain in {protocol['score']} over learning from nothing, {protocol['labelled']} labelled\n"
        "•: shown to help, ✗: negative transfer",
        fontsize=10,
        color=INK,
        loc="left",
    )
    figure.colorbar(shown, ax=axes, fraction=0.04)
    figure.tight_layout()
    return figure
