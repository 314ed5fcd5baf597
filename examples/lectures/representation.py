"""What a representation does: two rings that no line divides, as radius and angle, and as a net sees them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from examples.lectures.style import BLUE, FAINT, INK, RED, Picture, panel, right, sheet
from metatl import Batch, ClosedForm, Descent, Net
from metatl.adapt import LogisticRegression
from metatl.rules import Adam


def rings(count: int = 200) -> tuple[Tensor, Tensor]:
    """x [count, 2]: points of an inner (class 0) and an outer ring (class 1); y [count]."""
    generator, y = torch.Generator().manual_seed(0), torch.arange(count) % 2
    radius = 0.5 + 1.2 * y + 0.6 * torch.rand(count, generator=generator)
    angle = math.pi * (2 * torch.rand(count, generator=generator) - 1)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), y


def polar(x: Tensor) -> Tensor:
    """(x1, x2) as (radius, angle)."""
    return torch.stack([x.norm(dim=1), torch.atan2(x[:, 1], x[:, 0])], 1)


def learned(x: Tensor, y: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """A net with two hidden units in front of a linear output layer, fitted: what they say, what it says."""
    torch.manual_seed(0)
    net = Net.of(nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2), nn.Tanh(), nn.Linear(2, 2)))
    fitted = Descent(Adam(3e-2), 300).fit(net, net.start(), Batch(x, y))
    return lambda rows: net.features(fitted, {}, rows), lambda rows: net(fitted, {}, rows)


def line(x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
    """A logistic regression on the points: outputs [n, 2] for rows [n, 2]."""
    net = Net.of(nn.Sequential(nn.Identity(), nn.Linear(2, 2)))
    linear, carried = ClosedForm(LogisticRegression(1e-4)), net.start()
    fitted = linear.fit(net, carried, Batch(x, y))
    return lambda rows: linear.predict(net, carried, fitted, Batch(x, y), rows)


def drawn(axes: Axes, x: Tensor, y: Tensor, says: Callable[[Tensor], Tensor]) -> None:
    """The points, and where two outputs are equal."""
    ends = zip((x.amin(0) - 0.2).tolist(), (x.amax(0) + 0.2).tolist(), strict=True)
    across, up = torch.meshgrid(*(torch.linspace(*pair, 200) for pair in ends), indexing="xy")
    output = says(torch.stack([across, up], -1).flatten(0, 1))
    axes.contour(across, up, (output[:, 1] - output[:, 0]).view(200, 200), [0.0], colors=INK, linewidths=1.6)
    for label, colour, mark in ((0, BLUE, "o"), (1, RED, "^")):
        axes.scatter(*x[y == label].T, s=13, color=colour, marker=mark, linewidths=0)


def draw() -> Picture:
    x, y = rings()
    hidden, net = learned(x, y)
    views = {
        "As given": (x, "x₁", "x₂", line(x, y), "a line"),
        "Polar coordinates": (polar(x), "radius", "angle", line(polar(x), y), "a line"),
        "A net's last hidden layer": (hidden(x), "unit 1", "unit 2", line(hidden(x), y), "a line"),
        "The net, as given": (x, "x₁", "x₂", net, "its boundary"),
    }
    figure, numbers = sheet(5.9), dict[str, float]()
    for place, (name, (rows, below, beside, says, what)) in enumerate(views.items(), 1):
        numbers[name] = right(says(rows), y)
        axes = panel(figure, (2, 2, place), f"{name}\n{what}: {100 * numbers[name]:.0f} % right", below)
        axes.set_ylabel(beside, fontsize=11, color=FAINT, labelpad=1)
        drawn(axes, rows, y, says)
    figure.tight_layout(h_pad=1.4)
    return Picture(figure, numbers)
