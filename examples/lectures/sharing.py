"""Hard and soft sharing: two tasks of one digit by separate nets, by one trunk, by nets held together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from examples.lectures.boxes import diagram
from examples.lectures.style import Picture, digits, panel, right, sheet, shown
from metatl import Batch, Descent, Net
from metatl.models import CrossStitch, SharedTrunk
from metatl.objectives import SoftSharing, TaskLoss, Term
from metatl.rules import Adam

HOW: tuple[Any, ...] = ((1, 8, 8), 10, {"digit": 10, "ink": 1}, (), (32, 32))
"""Shape, outputs, targets, filters and hidden units of every net."""
TRAIN = 300


def nets() -> dict[str, tuple[nn.Module, tuple[Term, ...]]]:
    """Nets of two hidden layers for both tasks, and what is minimised."""
    alone = (TaskLoss(),)
    return {
        "Separate nets": (SharedTrunk(*HOW, shared=0), alone),
        "Hard sharing: one trunk": (SharedTrunk(*HOW), alone),
        "Soft sharing: close weights": (
            SharedTrunk(*HOW, shared=0),
            (*alone, SoftSharing(("nets.0", "nets.1"), 1e-3)),
        ),
        "Soft sharing: cross-stitch": (CrossStitch(*HOW), alone),
    }


def told(name: str, weights: dict[str, Tensor]) -> list[str]:
    """What holds two nets together at each layer: the size of what is mixed in, or their distance."""
    if "stitch" in name:
        each = [CrossStitch(*HOW).rate * w for n, w in weights.items() if n.startswith("alphas")]
        return [f"|α| = {float(torch.stack([a[0, 1], a[1, 0]]).abs().mean()):.2f}" for a in each]
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
    torch.manual_seed(0)
    for place, (name, (module, terms)) in enumerate(nets().items(), 1):
        net = Net.of(module)
        descent = Descent(Adam(3e-3), 200, terms=terms, batch_size=64, shuffle=True)
        weights = descent.fit(net, net.start(), rows)
        out = descent.predict(net, net.start(), weights, rows, x[TRAIN:])
        count, share = sum(w.numel() for w in weights.values()), right(out["digit"], digit[TRAIN:])
        error = float((out["ink"] - y["ink"][TRAIN:]).square().mean())
        numbers |= {f"{name}: weights": count, f"{name}: right": share, f"{name}: error": error}
        results = f"{count:,} weights\ndigit {100 * share:.0f} % right, ink error {error:.2f}"
        axes = panel(figure, (2, 2, place), f"{name}\n{results}")
        axes.title.set_fontsize(10.5)
        says = {"digit": str(int(out["digit"][0].argmax())), "ink": f"{float(out['ink'][0]):+.1f}"}
        diagram(axes, name, told(name, weights), says)
        shown(axes.inset_axes((0.43, -0.02, 0.14, 0.12)), x[TRAIN, 0])
    figure.subplots_adjust(0.02, 0.02, 0.98, 0.9, 0.08, 0.32)
    return Picture(figure, numbers)
