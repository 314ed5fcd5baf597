"""How gtl_proof.py writes what it found: table.md, report.json and the plots."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.evaluation.statistics import INTERVAL
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

BLOCKS = {"held-out subsets": slice(15, 30), "own subsets": slice(0, 15)}
EDGES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
GUIDED = {"gradient": "guide × gradient,\nthen Adam (published)", "update": "guide × Adam's update"}
BINS = [f"{low:g} – {high:g}" for low, high in itertools.pairwise(EDGES)]
ABOUT = (
    "{count} repetitions, each with patterns, subsets and a net of its own (seeds {seeds}; {left} of "
    "{tried} nets did not reach 80 % in 1,400 epochs and were left out). The guide: 15 scouts of 4 of 10 "
    "categories, {epochs:,} epochs each (published: 1,400). Score: accuracy after 10 epochs on the "
    "patterns that were learned; these labels can be memorised and nothing else. Every interval is over "
    "repetitions (means of 15 subsets)."
)
LEGEND = (
    "gtl: the guide scales Adam's update, rate tuned; gradient: it scales the gradient in front of Adam, "
    "rate tuned; published: the same at the published rate 0.03, nothing tuned. p: paired t-test over "
    "repetitions, Holm-corrected over the 12 comparisons of a block; 'yes' for p < 0.05."
)
MOVED = (
    "Median over weights and subsets of |displacement| with the guide over that without; Adam at rate 0.03,"
    " 10 epochs; mean over repetitions and its 95 % interval. A guide that acts makes this rise with it."
)


def write(
    out: Path,
    blocks: dict[str, list[Report]],
    tests: list[dict[str, Any]],
    moves: list[dict[str, Any]],
    seeds: list[int],
    epochs: int,
) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, and three plots."""
    count, tried = len(seeds), seeds[-1] + 1
    told = ", ".join(map(str, seeds))
    about = ABOUT.format(count=count, seeds=told, left=tried - count, tried=tried, epochs=epochs)
    parts = ["# GTL's proof of concept", about, "## Does the guide beat its controls?", _tests(tests), LEGEND]
    every: list[compare.Row] = []
    protocols: list[dict[str, Any]] = []
    for block, reports in blocks.items():
        reports = sorted(reports, key=lambda found: -found.mean)
        rows = compare.rows(reports, "fine-tune")
        said = INTERVAL.format(unit="repetitions") + f", {count} repetitions"
        protocols.append(
            {**compare.protocol(reports, "fine-tune", None), "interval": said, "unit": "repetitions"}
        )
        parts += [f"## Accuracy on {block}", render.markdown(rows, protocols[-1], times=False).strip()]
        plot = "plot.png" if not every else "plot-own.png"
        store.write_atomic(out / plot, render.png(render.benchmark_plot(rows, protocols[-1])))
        named = [{**row, "method": f"{row['method']} (own subsets)"} for row in rows] if every else rows
        every += named
    parts += ["## Displacement by guide", _moves(moves), MOVED]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    store.write_atomic(out / "displacement.png", _picture(moves))
    found = {"about": about, "protocol": protocols[0], "rows": every, "contrasts": tests}
    by_seed = dict(zip(map(str, seeds), moves, strict=True))
    store.write_json(out / "report.json", {**found, "guide_bins": BINS, "displacement": by_seed})


def _table(head: Sequence[str], body: Sequence[Sequence[str]], words: int) -> str:
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _tests(tests: Sequence[dict[str, Any]]) -> str:
    body = [
        [
            *(test["subsets"], test["guide"], test["against"], _verdict(test)),
            *(plus_minus(test["difference"], test["ci95"], 2, "+"), p_value(test["p"])),
        ]
        for test in tests
    ]
    return _table(["subsets", "guide", "against", "better", "difference, points", "p"], body, 4)


def _verdict(test: dict[str, Any]) -> str:
    if not compare.shown(test["p"]):
        return "not shown"
    return "yes" if test["difference"] > 0 else "worse"


def _moves(moves: Sequence[dict[str, Any]]) -> str:
    body = [
        [block, guided, *(plus_minus(own.mean, own.ci95) for own in _over(moves, block, guided))]
        for block in BLOCKS
        for guided in GUIDED
    ]
    return _table(["subsets", "guide scales", *BINS], body, 2)


def _over(moves: Sequence[dict[str, Any]], block: str, guided: str) -> list[compare.Estimate]:
    """The mean over repetitions, bin by bin."""
    return [compare.estimate(own) for own in zip(*(found[block][guided] for found in moves), strict=True)]


def _picture(moves: Sequence[dict[str, Any]]) -> bytes:
    figure = blank(9.6, 5.4)
    axes = bare(figure.add_axes((0.07, 0.13, 0.68, 0.7)), keep=("bottom", "left"))
    at = np.arange(len(BINS))
    found = {guided: _over(moves, "held-out subsets", guided) for guided in GUIDED}
    top = max(found, key=lambda guided: found[guided][-1].mean)
    for colour, (guided, name) in zip((PALETTE[1], PALETTE[0]), GUIDED.items(), strict=True):
        mean, half = [own.mean for own in found[guided]], [own.half for own in found[guided]]
        axes.errorbar(at, mean, half, color=colour, linewidth=2, marker="o", markersize=6, capsize=3)
        place: dict[str, Any] = dict(va="bottom" if guided == top else "top", annotation_clip=False)
        axes.annotate(name, (at[-1] + 0.35, mean[-1]), color=colour, fontsize=10.5, **place)
    axes.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xticks(at, BINS)
    axes.set_xlim(-0.3, at[-1] + 0.3)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_xlabel("guide of the weight", color=FAINT)
    title = "How far weights move with the guide, over how far without it"
    figure.text(0.03, 0.935, title, fontsize=14, fontweight="bold", color=INK)
    told = "Medians; Adam at rate 0.03, 10 epochs, held-out subsets; mean of"
    told += f" {len(moves)} repetitions, 95 % intervals"
    figure.text(0.03, 0.89, told, fontsize=9.5, color=FAINT)
    return render.png(figure)
