"""LoRA's sizes: real layers and what is learned beside them, drawn to scale."""

from __future__ import annotations

from matplotlib.patches import Rectangle
from torch import nn

from examples.lectures.style import BLUE, FAINT, INK, LINE, RED, Picture, sheet
from metatl import Net
from metatl.transforms import LoRA

LAYERS = {"MiniLM, attention": (384, 384), "ViT-Base, hidden layer": (768, 3072)}
"""Weights out x in of a layer of each."""
RANKS = (1, 8, 64)


def sizes(n: int, m: int, r: int) -> tuple[int, int]:
    """Weights of a linear layer [n, m] without bias, and those that LoRA of this rank moves in it."""
    net = Net.of(nn.Sequential(nn.Linear(m, n, bias=False), nn.Linear(n, 2)))
    net, carried = LoRA(r, targets="^0$")(net, net.start())
    body = {name: guide for name, guide in carried.guide.items() if not net.is_head(name)}
    return n * m, sum(int(guide.count_nonzero()) for guide in body.values())


def draw() -> Picture:
    figure, numbers = sheet(6.2), dict[str, float]()
    for column, (name, (n, m)) in enumerate(LAYERS.items()):
        for row, r in enumerate(RANKS):
            whole, moved = sizes(n, m, r)
            numbers[f"{n} x {m}, r {r}"] = moved
            axes = figure.add_axes((0.03 + 0.42 * column, 0.64 - 0.28 * row, 0.38 + 0.17 * column, 0.2))
            gap = 0.02 * m
            axes.add_patch(Rectangle((0, 0), m, n, color=LINE, linewidth=0))
            axes.text(m / 2, n / 2, f"{n} × {m}", ha="center", va="center", fontsize=10.5, color=INK)
            axes.add_patch(Rectangle((m + gap, 0), r, n, color=RED, linewidth=0.7))
            axes.add_patch(Rectangle((0, n + gap), m, r, color=BLUE, linewidth=0.7))
            axes.set(xlim=(-0.01 * m, 1.2 * m), ylim=(n + 0.2 * m, -0.01 * m), aspect="equal", anchor="NW")
            axes.set_axis_off()
            said = f"r = {r}: {moved:,} ({100 * moved / whole:.1f} %)"
            axes.set_title(said, fontsize=11, color=INK, loc="left")
        figure.text(0.03 + 0.42 * column, 0.94, name, fontsize=12, weight="bold", color=INK)
        figure.text(0.03 + 0.42 * column, 0.905, f"W has {n * m:,} weights", fontsize=11, color=FAINT)
    said = "Below W: A, r × in. Beside it: B, out × r. Each column to its own scale."
    figure.text(0.03, 0.02, said, fontsize=10.5, color=FAINT)
    return Picture(figure, numbers)
