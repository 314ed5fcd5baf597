"""Two points of task B, from scratch and from task A: a net that has learned a line goes on with a line."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

import metatl
from examples.lectures.style import BLUE, FAINT, GREEN, RED, Picture, panel, sheet
from metatl import Batch, Descent, Net, Transfer
from metatl.rules import Adam

NETS, FLEXIBLE = 6, {"body.0.weight": 6.0, "body.0.bias": 6.0, "head.weight": 3.0}
"""Nets of other random starts; how much larger their first weights are than torch's, so that they bend."""
TASKS = {"a line": lambda x: 1.3 * x - 0.4, "a wave": lambda x: torch.sin(3 * x)}
"""What task A may be."""


def task_b(x: Tensor) -> Tensor:
    return x + 0.6


def bent() -> Net:
    return Net.of(metatl.models.MLP((1,), 1, (64,), "tanh"))


def starts() -> tuple[Net, list[Transfer]]:
    """A net of one hidden layer, and random weights for it."""
    found: list[Transfer] = []
    for seed in range(NETS):
        torch.manual_seed(seed)
        begun = bent().start()
        larger = {name: FLEXIBLE.get(name, 1.0) * leaf for name, leaf in begun.params.items()}
        found.append(replace(begun, params=larger))
    return bent(), found


def adapted(net: Net, each: list[Transfer], rows: Batch, steps: int) -> list[Transfer]:
    """Every start after these steps of Adam on the rows."""
    descent = Descent(Adam(1e-2), steps)
    return [replace(start, params=descent.fit(net, start, rows)) for start in each]


def draw() -> Picture:
    net, scratch = starts()
    x, line = torch.linspace(-2, 2, 40).unsqueeze(1), torch.linspace(-2, 2, 101).unsqueeze(1)
    noise = 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    two = Batch(torch.tensor([[-0.9], [0.8]]), task_b(torch.tensor([[-0.9], [0.8]])))
    after = {name: adapted(net, scratch, Batch(x, a(x) + noise), 150) for name, a in TASKS.items()}
    figure, numbers = sheet(5.9), dict[str, float]()
    axes = panel(figure, (2, 2, 1), "Task A, a line\n40 points and what was learned")
    axes.scatter(x, TASKS["a line"](x) + noise, s=9, color=FAINT, linewidths=0)
    for carried in after["a line"]:
        axes.plot(line, net(carried.params, carried.buffers, line), color=GREEN, linewidth=1)
    axes.set_ylim(-4, 4)
    for place, (name, begun) in enumerate({"scratch": scratch, **after}.items(), 2):
        outputs = [net(t.params, t.buffers, line) for t in adapted(net, begun, two, 100)]
        error = float((torch.stack(outputs) - task_b(line)).square().mean())
        numbers[f"error from {name}"] = error
        said = "from scratch" if name == "scratch" else f"after task A, {name}"
        axes = panel(figure, (2, 2, place), f"Task B {said}\nmean squared error {error:.2f}")
        for output in outputs:
            axes.plot(line, output, color=BLUE, linewidth=1)
        axes.plot(line, task_b(line), color=RED, linestyle="--", linewidth=1.6, label="task B")
        axes.scatter(two.x, two.y, s=45, color=RED, zorder=4, label="its two points")
        axes.set_ylim(-4, 4)
    axes.legend(frameon=False, fontsize=10, loc="lower right", handlelength=1.4)
    figure.tight_layout(h_pad=1.4)
    return Picture(figure, numbers)
