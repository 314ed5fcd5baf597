"""All transfers to one target in one draw, and what estimates say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.affinity.tasks import Task
from metatl.affinity.trunk import Trunks, learned, row_losses, stacked
from metatl.data.fixed import Part, stratified
from metatl.estimates import Pair, TransferabilityEstimate, filter_fisher
from metatl.transferring.judging import Scale, row_scores

WIDTH, SOURCE_RATE, SOURCE_STEPS = 64, 3e-3, 200
RATES, STEPS = (1e-3, 3e-3, 1e-2), 100
"""Tried by every start on a third of the labelled rows; the middle one where a class has fewer than three."""


@dataclass(frozen=True)
class TargetTransfers:
    """Transfers to one target in one draw: from every other task in order, then from nothing (`scratch`).

    scores, losses [starts, rows that judge]; estimates [sources, estimates], None where one has no value;
    rates [starts]: what was chosen.
    """

    scores: list[list[float]]
    losses: list[list[float]]
    estimates: list[list[float | None]]
    rates: list[float]


@dataclass
class Transfers:
    """Tasks between which everything is carried; every start begins from the same random net."""

    tasks: Sequence[Task]
    estimates: Sequence[TransferabilityEstimate]
    labelled: int
    seed: int = 0
    _sources: dict[int, Trunks] = field(default_factory=dict[int, Trunks])
    _fishers: dict[int, Any] = field(default_factory=dict[int, Any])

    @cached_property
    def scratch(self) -> Trunks:
        """What nothing was learned on."""
        return Trunks.started(self.tasks[0].x.shape[1], WIDTH, 1, self.seed)

    def source(self, i: int) -> Trunks:
        """The net after all rows of task i that may be labelled."""
        if i not in self._sources:
            x, y, outputs = self._rows(i, self.tasks[i].task.pool)
            start = self.scratch.with_outputs(outputs)
            self._sources[i] = learned(start, x, y, SOURCE_RATE, SOURCE_STEPS)
        return self._sources[i]

    def _rows(self, i: int, places: Any, scale: Scale | None = None) -> tuple[Tensor, Tensor, int]:
        """Rows, targets (real ones standardised, by default by themselves) and the number of outputs."""
        task = self.tasks[i]
        y = task.targets.values[places]
        return task.x[places], (scale or Scale.of(y)).down(y), task.targets.outputs

    def cell(self, j: int, draw: int) -> TargetTransfers:
        """All starts adapted to the same labelled rows of task j and judged on the same others."""
        task = self.tasks[j]
        part = Part(task.task.draw(self.labelled, draw).labelled, task.judging)
        scale = Scale.of(task.targets.values[part.labelled])
        x, y, outputs = self._rows(j, part.labelled, scale)
        sources = [i for i in range(len(self.tasks)) if i != j]
        starts = stacked([one.with_outputs(outputs) for one in [*map(self.source, sources), self.scratch]])
        rates = _chosen(starts, x, y, task.task.labels[part.labelled], self.seed + draw)
        judged = torch.empty(len(rates), len(part.test), outputs)
        for rate in {*rates}:
            at = torch.tensor([one == rate for one in rates])
            some = Trunks(*(leaf[at] for leaf in vars(starts).values()))
            judged[at] = learned(some, x, y, rate, STEPS)(task.x[part.test])
        y_test = task.targets.values[part.test]
        scores = torch.stack([row_scores(scale.up(one), y_test) for one in judged])
        losses = row_losses(judged, scale.down(y_test))
        return TargetTransfers(_rounded(scores), _rounded(losses), self._estimated(sources, j, x, y), rates)

    def _estimated(self, sources: Sequence[int], j: int, x: Tensor, y: Tensor) -> list[list[float | None]]:
        target = self._fisher(x, y, self.tasks[j].targets.outputs)
        values = y.flatten().numpy()
        found: list[list[float | None]] = []
        for i in sources:
            net = self.source(i)
            of_classes = self.tasks[i].targets.kind == "classes"
            said = net(x)[0].double().softmax(1).numpy() if of_classes else None
            if i not in self._fishers:
                self._fishers[i] = self._fisher(*self._rows(i, self.tasks[i].task.pool))
            pair = Pair(net.hidden(x)[0].double().numpy(), values, said, (self._fishers[i], target))
            found.append([_number(one(pair)) if one.fits(pair) else None for one in self.estimates])
        return found

    def _fisher(self, x: Tensor, y: Tensor, outputs: int) -> Any:
        """The filters' Fisher information of a task in the net that nothing was learned on."""
        probe = learned(self.scratch.with_outputs(outputs), x, y, SOURCE_RATE, STEPS, head_only=True)
        said = None if y.is_floating_point() else probe(x)[0].softmax(1)
        return filter_fisher(x, probe.hidden(x)[0], probe.head[0], said)


def _chosen(starts: Trunks, x: Tensor, y: Tensor, labels: Any, seed: int) -> list[float]:
    """For every start the rate with the lowest loss on a third of the labelled rows, taken alike for all."""
    fold = stratified(labels, 3, seed)
    inside, held = torch.from_numpy(np.flatnonzero(fold)), torch.from_numpy(np.flatnonzero(fold == 0))
    if np.bincount(labels).min() < 3:
        return [RATES[len(RATES) // 2]] * len(starts.weight)
    tried = [
        row_losses(learned(starts, x[inside], y[inside], rate, STEPS)(x[held]), y[held]) for rate in RATES
    ]
    best = torch.stack([one.mean(1) for one in tried]).argmin(0)
    return [RATES[int(place)] for place in best]


def _rounded(values: Tensor) -> list[list[float]]:
    """Seven digits, as errors are in the targets' own unit."""
    return [[float(f"{one:.7g}") for one in row] for row in values.tolist()]


def _number(value: float) -> float | None:
    return None if value != value else float(value)
