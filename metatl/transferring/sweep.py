"""Which layers: rows that take over, or freeze, ever more blocks of a net, and the picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metatl import text
from metatl.guides import LastBlocks
from metatl.guides.guide import by_depth
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.net import Net
from metatl.transferring.backbone import Backbone
from metatl.transferring.plots import WIDE
from metatl.transferring.rows import Row, rows
from metatl.types import MetatlError

Sweep = Literal["layers"]
CURVES = {
    "taken": "taken over, the rest random, all trained from an output layer of zeros on",
    "frozen": "frozen, the rest trained from the linear probe on",
}
STEPS = 6
"""Points of a curve beside its first one, at most."""


def swept(base: Backbone) -> dict[str, Row]:
    """Rows `taken-K` and `frozen-K` for some K from 0 to the number of blocks below the output layer.

    The first K blocks keep their pre-trained weights: others start at random and all are trained (taken), or
    others are trained from pre-trained weights too (frozen). They are `half-transfer` and `last-block` with
    other numbers of blocks: a probe says nothing where blocks are random, nor do moments that were kept, so
    that all blocks taken over and none frozen, which have the same weights to start from, are two ways.
    Source: Yosinski et al. 2014, arXiv 1411.1792.
    Raises MetatlError without a body that could move.
    """
    if not base.moves:
        raise MetatlError("a sweep over layers needs a net; name one with --net")
    net = Net.of(base.module, base.head, base.example())
    blocks = len(by_depth(net, dict(net.module.named_parameters()), "block")) - 1
    parts, known = min(blocks, STEPS), rows(["half-transfer", "last-block"])
    found: dict[str, Row] = {}
    for place in range(parts + 1):
        k = round(place * blocks / parts)
        about = f"the first {k} of {blocks} blocks"
        taken = replace(known["half-transfer"], about=f"{about} {CURVES['taken']}", taken=k / blocks)
        guide = LastBlocks(blocks - k)
        frozen = replace(known["last-block"], about=f"{about} {CURVES['frozen']}", guide=guide)
        found |= {f"taken-{k}": taken, f"frozen-{k}": frozen}
    order = sorted(found.items(), key=lambda item: item[0].partition("-")[0], reverse=True)
    return {name: replace(row, order=200 + i) for i, (name, row) in enumerate(order)}


def points(found: Mapping[str, Any]) -> dict[str, dict[Any, list[tuple[int, Mapping[str, Any]]]]]:
    """By curve and number of labels, (blocks, row of the report), fewer blocks first."""
    curves: dict[str, dict[Any, list[tuple[int, Mapping[str, Any]]]]] = {}
    for row in found["rows"]:
        curve, _, k = row["method"].rpartition("-")
        if curve in CURVES and k.isdecimal() and row["score"] is not None:
            curves.setdefault(curve, {}).setdefault(row["labelled"], []).append((int(k), row))
    for labels in curves.values():
        for line in labels.values():
            line.sort(key=lambda point: point[0])
    return curves


def picture(found: Mapping[str, Any]) -> Figure:
    """Scores over blocks that keep their weights: a colour a number of labels, bars: 95 % interval."""
    found = text.each(found, text.drawn)
    protocol, curves = found["protocol"], points(found)
    colours = [colour for colour in PALETTE if colour not in ("#000000", "#8A8A8A")]
    labels = list(dict.fromkeys(k for curve in curves.values() for k in curve))
    figure = blank(12.8, 7.2)
    axes = bare(figure.add_axes((0.07, 0.12, 0.70, 0.70)), keep=("bottom",))
    for curve, style, shift in (("taken", "--", -0.03), ("frozen", "-", 0.03)):
        for k, line in curves.get(curve, {}).items():
            colour, at = colours[labels.index(k) % len(colours)], [x + shift for x, _ in line]
            values = [row["score"] for _, row in line]
            axes.plot(
                at, values, style, color=colour, marker="o", linewidth=2.2, label=f"labels: {k}, {curve}"
            )
            for x, (_, row) in zip(at, line, strict=True):
                if row["ci95"] is not None:
                    axes.plot([x, x], row["ci95"], color=colour, linewidth=1.4, alpha=0.5)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=11)
    axes.set_xlabel("blocks from the input on that keep their pre-trained weights", fontsize=12, color=FAINT)
    axes.yaxis.set_major_formatter("{x:g} %" if protocol["unit"] == "%" else "{x:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    name = protocol["score"][:1].upper() + protocol["score"][1:]
    title = f"{name} on {protocol['data']} by what is transferred"
    figure.text(0.025, 0.93, title, fontsize=20, weight="bold", color=INK)
    lines = (
        f"{protocol['net']}; up to {protocol['draws']} draws, bars: 95 % interval",
        f"solid: the first blocks {CURVES['frozen']}; dashed: {CURVES['taken']}",
    )
    for height, said in zip((0.89, 0.855), lines, strict=True):
        figure.text(0.025, height, said, fontsize=12 * min(1.0, WIDE / len(said)), color=FAINT)
    return figure
