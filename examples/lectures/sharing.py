"""Hard and soft sharing: two tasks of one digit by separate nets, by one trunk, and by nets stitched together."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from examples.lectures.style import BLUE, FAINT, GREEN, INK, RED, Picture, digits, panel, right, sheet, shown
from metatl import Batch, Descent, Net
from metatl.models import CrossStitch, SharedTrunk
from metatl.objectives import SoftSharing, TaskLoss, Term
from metatl.rules import Adam

TARGETS, HIDDEN, TRAIN = {"digit": 10, "ink": 1}, (32, 32), 300
LEVELS, AT = (1.5, 3.3, 5.1), (1.0, 3.0)
"""Where the two layers and the heads lie, and the two tasks."""


def nets() -> dict[str, tuple[nn.Module, tuple[Term, ...]]]:
    """Nets of two hidden layers for both tasks, and what is minimised."""
    how, alone = ((1, 8, 8), 10, TARGETS, (), HIDDEN), (TaskLoss(),)
    return {
        "Separate nets": (SharedTrunk(*how, shared=0), alone),
        "Hard sharing: one trunk": (SharedTrunk(*how), alone),
        "Soft sharing: close weights": (
            SharedTrunk(*how, shared=0),
            (*alone, SoftSharing(("nets.0", "nets.1"), 1e-3)),
        ),
        "Soft sharing: cross-stitch": (CrossStitch(*how), alone),
    }


def box(axes: Axes, x: float, y: float, colour: str, wide: float, said: str) -> None:
    shape: dict[str, Any] = dict(boxstyle="round,pad=0.05", facecolor=colour, edgecolor="none")
    axes.add_patch(FancyBboxPatch((x - wide / 2, y - 0.3), wide, 0.6, **shape))
    axes.text(x, y, said, ha="center", va="center", fontsize=10, color="white")


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], line: str = "-", head: str = "-|>"
) -> None:
    style = dict(arrowstyle=head, color=FAINT, linestyle=line, shrinkA=0, shrinkB=0)
    axes.annotate("", end, start, arrowprops=style)


def diagram(axes: Axes, name: str, between: list[str], says: tuple[str, str]) -> None:
    """Two layers and a head a task, from below; between: what is said between the nets at each layer."""
    for level in LEVELS[:2]:
        if "trunk" in name:
            box(axes, 2.0, level, GREEN, 3.2, "32 units, shared")
        for place, colour in zip(AT, (BLUE, RED), strict=True):
            if "trunk" not in name:
                box(axes, place, level, colour, 1.2, "32 units")
            arrow(axes, (place, level - (0.8 if level == LEVELS[0] else 1.42)), (place, level - 0.38))
    for place, colour, task, said in zip(AT, (BLUE, RED), TARGETS, says, strict=True):
        box(axes, place, LEVELS[2], colour, 1.2, "head")
        arrow(axes, (place, LEVELS[2] - 1.42), (place, LEVELS[2] - 0.38))
        axes.text(place, LEVELS[2] + 0.5, f"{task}: {said}", ha="center", fontsize=11, color=colour)
    for level, said in zip(LEVELS, between, strict=False):
        if stitched := "stitch" in name:
            arrow(axes, (AT[0], level + 0.4), (AT[1] - 0.1, level + 1.35), "--")
            arrow(axes, (AT[1], level + 0.4), (AT[0] + 0.1, level + 1.35), "--")
        else:
            arrow(axes, (AT[0] + 0.65, level), (AT[1] - 0.65, level), "--", "<|-|>")
        y = level + (0.88 if stitched else 0.5)
        axes.text(
            2.0,
            y,
            said,
            ha="center",
            va="center",
            fontsize=9.5,
            color=INK,
            bbox=dict(facecolor="white", edgecolor="none", pad=1),
        )
    axes.set(xlim=(0.2, 3.8), ylim=(0.0, 6.0))
    axes.set_axis_off()


def told(name: str, weights: dict[str, Tensor]) -> list[str]:
    """What holds two nets together at each layer: the other's share, or the distance of the weights."""
    if "stitch" in name:
        each = [10.0 * w.mean(-1) for n, w in weights.items() if n.startswith("alphas")]
        return [f"{float(alpha[0, 1] + alpha[1, 0]) / 2:.2f} of the other" for alpha in each]
    if "close" in name:
        pairs = [
            (w, weights[n.replace("nets.0", "nets.1")])
            for n, w in weights.items()
            if n.startswith("nets.0") and w.dim() > 1
        ]
        return [f"apart: {float((a - b).norm()):.1f}" for a, b in pairs]
    return []


def draw() -> Picture:
    x, digit = digits()
    ink = x.mean((2, 3))
    y = {"digit": digit, "ink": (ink - ink.mean()) / ink.std()}
    rows = Batch(x[:TRAIN], {name: target[:TRAIN] for name, target in y.items()})
    figure, numbers = sheet(8.6), dict[str, float]()
    for place, (name, (module, terms)) in enumerate(nets().items(), 1):
        torch.manual_seed(0)
        net = Net.of(module)
        descent = Descent(Adam(3e-3), 200, terms=terms, batch_size=64, shuffle=True)
        weights = descent.fit(net, net.start(), rows)
        out = descent.predict(net, net.start(), weights, rows, x[TRAIN:])
        count, share = sum(w.numel() for w in weights.values()), right(out["digit"], digit[TRAIN:])
        error = float((out["ink"] - y["ink"][TRAIN:]).square().mean())
        numbers |= {f"{name}: weights": count, f"{name}: right": share, f"{name}: error": error}
        axes = panel(
            figure,
            (2, 2, place),
            f"{name}\n{count:,} weights\ndigit {100 * share:.0f} % right, ink error {error:.2f}",
        )
        axes.title.set_fontsize(10.5)
        diagram(
            axes,
            name,
            told(name, weights),
            (str(int(out["digit"][0].argmax())), f"{float(out['ink'][0]):+.1f}"),
        )
        shown(axes.inset_axes((0.43, -0.02, 0.14, 0.12)), x[TRAIN, 0])
    figure.subplots_adjust(0.02, 0.02, 0.98, 0.9, 0.08, 0.32)
    return Picture(figure, numbers)
