"""One way on one draw: nets learned with every value that is tried, the best of them judged once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metatl import tree
from metatl.data import LabelledRows
from metatl.data.examples import Index
from metatl.data.many_targets import ManyTargets
from metatl.engines import Loop
from metatl.multitasking.judging import DrawnRows, Judging
from metatl.multitasking.problem import Several
from metatl.multitasking.rows import Tried, Way
from metatl.net import Net
from metatl.objectives import OfTarget, Quantile, TaskLoss
from metatl.rules import Adam
from metatl.train import train
from metatl.types import Batch


@dataclass(frozen=True)
class NetBudget:
    """steps, batch: of every net; filters, hidden: its blocks; scaled: whether values are standardised.

    levels: of the quantiles that real values are learned by, in the place of their mean.
    """

    steps: int = 300
    batch: int = 64
    filters: tuple[int, ...] = ()
    hidden: tuple[int, ...] = (64, 64)
    scaled: bool = True
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class FittedCell:
    """Scores on the rows that judge, by target; seconds; what was chosen; also: further scores by target."""

    scores: dict[str, float]
    seconds: float
    selected: dict[str, Any] = field(default_factory=dict[str, Any])
    also: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])


def drawn(problem: Several, seed: int, budget: NetBudget) -> DrawnRows:
    """A quarter of the rows judges (or the problem's own test rows), 15 % choose, the rest teaches."""
    parts = divided(problem, seed)
    scale: dict[str, tuple[float, float]] = {}
    y: dict[str, Tensor] = {}
    for name, values in problem.y.items():
        y[name] = values
        if values.is_floating_point():
            own = values[torch.from_numpy(parts["train"])]
            own = own[~own.isnan()].double()
            spread = float(own.std()) if len(own) > 1 else 0.0
            scale[name] = (float(own.mean()), spread or 1.0) if budget.scaled and len(own) else (0.0, 1.0)
            y[name] = ((values - scale[name][0]) / scale[name][1]).float()
    return DrawnRows(problem.inputs(parts["train"]), y, parts, scale)


def divided(problem: Several, seed: int) -> dict[str, Index]:
    """A draw's rows to learn from, choose by and judge: `train`, `val`, `test`."""
    order = np.random.default_rng(seed).permutation(problem.rows)
    test = order[: len(order) // 4] if problem.test is None else problem.test
    rest = order[~np.isin(order, test)]
    cut = max(1, int(0.2 * len(rest)))
    return {"train": rest[cut:], "val": rest[:cut], "test": test}


def fitted(problem: Several, way: Way, draw: DrawnRows, budget: NetBudget, seed: int) -> FittedCell:
    """The way's scores; where nets are of a target each, every one chooses by its own."""
    begun, judging = time.perf_counter(), Judging(problem, draw, budget.levels)
    scores: dict[str, float] = {}
    selected: dict[str, Any] = {}
    also: dict[str, dict[str, float]] = {}
    for group in way.groups(list(problem.targets)):
        judged = group[:1] if way.each else group
        k, floors = len(group), [judging.floor(one) for one in group]

        def cost(found: dict[str, Tensor], judged: list[str] = judged) -> float:
            return judging.cost({one: found[one] for one in judged})

        learn = partial(_learned, problem, way, group, draw, budget, seed)
        first = _best(learn, cost, way.runs(k, budget.steps, floors))
        found, _, (rate, aggregate) = _best(learn, cost, way.further(k, first.tried[0], floors), first)
        scores |= {one: judging.score(one, found[one], "test") for one in judged}
        also |= {one: told for one in judged if (told := judging.also(one, found[one]))}
        selected["+".join(judged)] = {
            "rate": rate,
            "aggregate": None if aggregate is None else repr(aggregate),
        }
    return FittedCell(scores, time.perf_counter() - begun, selected, also)


class _Run(NamedTuple):
    found: dict[str, Tensor]
    cost: float
    tried: Tried


def _best(
    learn: Callable[..., dict[str, Tensor]],
    cost: Callable[[dict[str, Tensor]], float],
    runs: Sequence[Tried],
    *before: _Run,
) -> _Run:
    """The run of least cost; the first of them where none has a finite one."""
    made = [*before]
    for one in runs:
        found = learn(*one)
        made.append(_Run(found, cost(found), one))
    return min(made, key=lambda run: math.inf if math.isnan(run.cost) else run.cost)


def _learned(
    problem: Several,
    way: Way,
    group: list[str],
    draw: DrawnRows,
    budget: NetBudget,
    seed: int,
    rate: float,
    aggregate: Any,
) -> dict[str, Tensor]:
    """Outputs over all rows, by target."""
    torch.manual_seed(seed)
    real = {one for one in group if problem.targets[one].kind == "real"} if budget.levels else set[str]()
    outputs = {one: len(budget.levels) if one in real else problem.targets[one].outputs for one in group}
    blocks: dict[str, Any] = {"filters": budget.filters, "hidden": budget.hidden}
    module = way.net(tuple(draw.x.shape[1:]), 1, outputs, **blocks, **(way.told or {}))
    net = Net.of(module)
    at = torch.from_numpy(draw.parts["train"])
    batch = Batch(draw.x[at], {one: draw.y[one][at] for one in group})
    terms = [OfTarget(one, Quantile(budget.levels) if one in real else TaskLoss()) for one in group]
    learner = way.learner(
        budget.steps,
        budget.batch,
        Adam(rate),
        (*terms, *way.terms(len(group))),
        streams={"source": LabelledRows("meta_train", budget.batch)},
        aggregate=aggregate,
    )
    data = ManyTargets(problem.name, {"meta_train": batch})
    learned = train(learner, net, Loop(), learner.init(net, net.start()), data, seed).transfer
    with torch.no_grad():
        return tree.apply(Tensor.detach, net(learned.params, learned.buffers, draw.x))
