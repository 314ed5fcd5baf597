"""DANN's features in two dimensions: digits and faint digits, before and after adaptation."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.manifold import TSNE
from torch import Tensor

import metatl
from examples.lectures.style import BLUE, RED, Picture, digits, panel, right, sheet, shown
from metatl import Bank, ClassData, Net, Transfer
from metatl.data import Unlabelled
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.models import CNN
from metatl.objectives import DANN, TaskLoss, Term
from metatl.rules import SGD
from metatl.types import Split

SHOWN, STEPS, SIZE = 198, 600, 32
TERMS: dict[str, tuple[Term, ...]] = {"Source only": (TaskLoss(),), "DANN": (TaskLoss(), DANN(weight=0.3))}


def faint(x: Tensor) -> Tensor:
    """The same digits with less ink on grey paper."""
    return 0.5 + 0.3 * x


def learned(data: ClassData, terms: tuple[Term, ...]) -> tuple[Net, Transfer]:
    """A small net after 600 steps of 32 labelled digits and 32 faint ones without labels."""
    torch.manual_seed(0)
    net = Net.of(CNN((1, 8, 8), 10, (8, 16), 32, strides=(1, 2)))
    learner = Supervised(
        STEPS, SIZE, SGD(0.07, momentum=0.9), terms, streams={"target": Unlabelled("meta_val", SIZE)}
    )
    learner.check(net, net.start(), data)
    return net, metatl.train(learner, net, Loop(), learner.init(net, net.start()), data, 0).transfer


def mixed(features: Tensor) -> float:
    """The share of rows [2 n, d] whose nearest other row is of the other half; 0.5 where halves are alike."""
    nearest = torch.cdist(features, features).fill_diagonal_(torch.inf).argmin(1)
    return float(((nearest < SHOWN) != (torch.arange(2 * SHOWN) < SHOWN)).float().mean())


def draw() -> Picture:
    x, y = digits()
    banks: dict[Split, Bank] = {"meta_train": Bank.from_arrays(x[:700].numpy(), y[:700].numpy())}
    banks["meta_val"] = Bank.from_arrays(faint(x[700:1400]).numpy(), y[700:1400].numpy())
    data, new, truth = ClassData("digits", banks), x[1400:], y[1400:]
    domains = {"digits": (new[:SHOWN], BLUE, "o"), "faint digits, no labels": (faint(new[-SHOWN:]), RED, "^")}
    figure, numbers = sheet(4.3), dict[str, float]()
    grid = figure.add_gridspec(1, 2, left=0.03, right=0.97, top=0.84, bottom=0.16, wspace=0.06)
    for place, (name, terms) in enumerate(TERMS.items()):
        net, carried = learned(data, terms)
        with torch.no_grad():
            numbers[name] = right(net(carried.params, {}, faint(new)), truth)
            both = [net.features(carried.params, {}, rows) for rows, *_ in domains.values()]
        numbers[f"{name}: mixed"] = mixed(torch.cat(both))
        points = TSNE(random_state=0, init="pca").fit_transform(torch.cat(both).numpy())
        axes = panel(figure, grid[place], f"{name}\nfaint: {100 * numbers[name]:.0f} % right")
        for own, (domain, (_, colour, mark)) in zip(np.split(points, 2), domains.items(), strict=True):
            axes.scatter(*own.T, s=10, color=colour, marker=mark, label=domain, linewidths=0)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(True)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        frameon=False,
        fontsize=11,
        markerscale=2,
        ncols=2,
        loc="lower center",
    )
    for place, of in enumerate((new, faint(new))):
        shown(figure.add_axes((0.78 + 0.1 * place, 0.87, 0.09, 0.115)), of[0, 0])
    return Picture(figure, numbers)
