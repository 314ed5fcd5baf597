"""Earlier layers and later layers: from pictures that serve every task to numbers that serve their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from examples.lectures.style import BLUE, FAINT, INK, RED, Picture, digits, panel, right, sheet, shown
from metatl import Batch, Descent, Net
from metatl.adapt import NearestCentroid
from metatl.rules import Adam

LAYERS = {"pixels": 0, "1": 2, "2": 4, "3": 6, "4": 9}
"""Names, and how many modules of the net are passed."""
SHOTS, DRAWS = 5, 10


def learned(x: Tensor, y: Tensor) -> nn.Sequential:
    """Three convolutions, a hidden layer and an output layer, after 200 steps."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 16, 3, 1, 1), nn.Conv2d(16, 32, 3, 2, 1), nn.Conv2d(32, 32, 3, 2, 1)
    body = [part for layer in layers for part in (layer, nn.ReLU())]
    module = nn.Sequential(*body, nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 5))
    net = Net.of(module)
    fitted = Descent(Adam(3e-3), 200, batch_size=64, shuffle=True).fit(net, net.start(), Batch(x, y))
    module.load_state_dict(fitted)
    return module.eval().requires_grad_(False)


def served(features: Tensor, y: Tensor) -> float:
    """The share right by nearest class mean of 5 labels a class; features [n, d], y of 0 .. 4."""
    scores: list[float] = []
    for draw in range(DRAWS):
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(draw))
        few = torch.cat([order[y[order] == label][:SHOTS] for label in range(5)])
        rest = order[~torch.isin(order, few)]
        solver = NearestCentroid()
        fitted = solver.fit(features[few], y[few], 5, None)
        scores.append(right(solver.predict(fitted, features[rest]), y[rest]))
    return sum(scores) / DRAWS


def tiled(maps: Tensor) -> Tensor:
    """The four strongest of the maps [n, h, w] as [2 h, 2 w]; one map, or 64 units, as they are."""
    if maps.dim() == 1 or len(maps) == 1:
        return maps.view(8, 8) / maps.max()
    best = maps[maps.sum((1, 2)).argsort(descending=True)[:4]]
    return best.unflatten(0, (2, 2)).transpose(1, 2).flatten(2).flatten(0, 1) / best.max()


def draw() -> Picture:
    x, y = digits()
    old, new = (y < 5).nonzero().flatten(), (y >= 5).nonzero().flatten()
    module = learned(x[old[:500]], y[old[:500]])
    tasks = {
        "own": ("its own task: other images of 0 … 4", old[500:], BLUE, "o-"),
        "other": ("another task: 5 … 9", new, RED, "^--"),
    }
    figure, numbers, row = sheet(5.4), dict[str, float](), x[new[:1]]
    grid = figure.add_gridspec(2, 5, height_ratios=(1, 2.8), top=0.92, bottom=0.11, left=0.08, right=0.98)
    for place, (name, passed) in enumerate(LAYERS.items()):
        axes = shown(panel(figure, grid[0, place], ""), tiled(module[:passed](row)[0]))
        axes.set_title(name if not place else f"layer {name}", fontsize=11, color=INK)
    axes = panel(figure, grid[1, :], f"Right with {SHOTS} labels a class, %", "features of layer")
    for task, (name, rows, colour, mark) in tasks.items():
        each = [served(module[:passed](x[rows]).flatten(1), y[rows] % 5) for passed in LAYERS.values()]
        numbers |= {f"{task}, {layer}": score for layer, score in zip(LAYERS, each, strict=True)}
        axes.plot([100 * score for score in each], mark, color=colour, linewidth=2, label=name)
    axes.set_xticks(range(len(LAYERS)), list(LAYERS))
    axes.legend(frameon=False, fontsize=11, loc="lower left", labelcolor=FAINT)
    return Picture(figure, numbers)
