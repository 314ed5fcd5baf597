"""Zero, one, few examples: one net that reads them gives three answers, and no weight moves."""

from __future__ import annotations

import torch
from torch import Tensor

import metatl
from examples.lectures.style import BLUE, FAINT, LINE, RED, Picture, panel, sheet
from metatl import Batch, Episode, InContext, Net, Tasks, Transfer
from metatl.data import Fewer, LinearFunctions
from metatl.engines import Batched
from metatl.learners import Episodic
from metatl.models import InContextTransformer
from metatl.rules import Adam, CosineDecay

MOST, FUNCTIONS, SHOWN = 8, 300, {"zero": 0, "one": 1, "few": 8}
ONE = 39
"""The function that is shown."""
SOURCE = LinearFunctions(dimensions=1, noise=0.5)
"""y = w x + 0.5 e with normal w, x and e."""


def read(steps: int = 300) -> tuple[Net, Transfer]:
    """A small transformer, learned on functions with 0 to 8 examples."""
    torch.manual_seed(0)
    net = Net.of(InContextTransformer((1,), 1, width=32, layers=2, heads=2, classes=False))
    how = Adam(3e-3), "full", None, "init", 1.0, 0, CosineDecay(warm_up=50)
    learner = Episodic(steps, 32, Tasks(shot=MOST, query=8), InContext(), *how)
    data = Fewer(SOURCE).load()
    return net, metatl.train(learner, net, Batched(), learner.init(net, net.start()), data, 0).transfer


def exact(x: Tensor, y: Tensor, new: Tensor) -> Tensor:
    """The posterior mean of y, w having a normal prior: x'y / (x'x + noise^2) at the new x."""
    return new * (x * y).sum(-2, keepdim=True) / (x.square().sum(-2, keepdim=True) + SOURCE.noise**2)


def answers(net: Net, carried: Transfer, tasks: Episode, k: int) -> dict[str, Tensor]:
    """What the net and the exact posterior say of the query rows, of k examples."""
    support = Batch(tasks.support.x[:, :k], tasks.support.y[:, :k])
    with torch.no_grad():
        said = Batched().map(lambda one: InContext().answer(net, carried, one), Episode(support, tasks.query))
    return {"in context": said, "exact": exact(support.x, support.y, tasks.query.x)}


def draw() -> Picture:
    net, carried = read()
    tasks = SOURCE.load().draw("meta_test", Tasks(shot=MOST, query=10), 0, 0, FUNCTIONS)
    figure, numbers = sheet(5.9), dict[str, float]()
    line = torch.linspace(-2.5, 2.5, 41).view(1, -1, 1)
    pure = (
        LinearFunctions(dimensions=1).load().draw("meta_test", Tasks(shot=MOST, query=1), 0, ONE, 1).support
    )
    slope = float((pure.y / pure.x).mean())
    one = Episode(Batch(*(part[ONE : ONE + 1] for part in tasks.support[:2])), Batch(line, line))
    for place, (name, k) in enumerate(SHOWN.items(), 1):
        axes = panel(figure, (2, 2, place), f"{name.title()} example{'' if k == 1 else 's'}", "x")
        for (way, y), colour, style in zip(
            answers(net, carried, one, k).items(), (BLUE, RED), ("-", "--"), strict=True
        ):
            axes.plot(line.flatten(), y.flatten(), color=colour, linestyle=style, linewidth=2, label=way)
        axes.scatter(one.support.x[0, :k], one.support.y[0, :k], s=30, color=FAINT, zorder=3)
        axes.plot(
            line.flatten(), slope * line.flatten(), color=LINE, linewidth=5, zorder=0, label="the function"
        )
        axes.set_ylim(-5, 5)
        if not k:
            axes.legend(frameon=False, fontsize=10.5, loc="lower left", labelcolor=FAINT)
    errors: dict[str, list[float]] = {"in context": [], "exact": []}
    for k in range(MOST + 1):
        for way, y in answers(net, carried, tasks, k).items():
            errors[way].append(float((y - tasks.query.y).square().mean()))
            numbers[f"{way}, {k}"] = errors[way][-1]
    axes = panel(figure, (2, 2, 4), f"Squared error, {FUNCTIONS} functions", "examples")
    for (way, error), colour, style in zip(errors.items(), (BLUE, RED), ("o-", "--"), strict=True):
        axes.plot(error, style, color=colour, linewidth=2, markersize=4, label=way)
    axes.set_ylim(0, None)
    figure.tight_layout(h_pad=1.4)
    return Picture(figure, numbers)
