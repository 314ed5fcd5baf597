"""The rows of the table on one problem: cell by cell, in turns, as far as the minutes go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.transferring.backbone import Backbone
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cell, Cells, Key
from metatl.transferring.choose import chosen
from metatl.transferring.fit import Labelled, Model
from metatl.transferring.fit import fit as fit_row
from metatl.transferring.fixed import Index, Part
from metatl.transferring.problem import Problem
from metatl.transferring.rows import Row

VALIDATION = "validation."
"""Before a row's name: cells inside the labelled photos, by which the saved row is chosen."""
Tell = Callable[[str], None]
"""Called with the name of what is done next."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    labelled: labels of each class, None for all; draws: of each of those numbers.
    """

    problem: Problem
    net: Backbone
    rows: Mapping[str, Row]
    labelled: Sequence[int | None]
    draws: int
    seed: int = 0

    def keys(self, name: str) -> Iterator[Key]:
        """All cells of a row, smaller numbers of labels first."""
        for k in self.labelled:
            for draw in range(self.problem.task.draws(k, self.draws)):
                yield name, k, draw

    def labelled_rows(self, places: Index, key: int) -> Labelled:
        """These photos as labelled ones."""
        problem, at = self.problem, torch.from_numpy(places)

        def photos() -> Tensor:
            return problem.pictures.some(places)

        y = torch.from_numpy(problem.labels[places])
        return Labelled(problem.features[at], y, photos, len(problem.classes), key)

    def outputs(self, model: Model, places: Index) -> Tensor:
        """The model's outputs [n, classes] for these photos."""
        features = self.problem.features[torch.from_numpy(places)]
        return model.outputs(features, lambda: self.problem.pictures.some(places))

    def part(self, key: Key) -> Part:
        """The labelled and the judging photos of a cell."""
        return self.problem.task.draw(key[1], key[2])

    def cell(self, name: str, part: Part, key: int) -> Cell:
        """Choose, fit and predict; photos that judge are looked at here and nowhere else."""
        began = time.perf_counter()
        labelled = self.labelled_rows(part.labelled, self.seed * 1000 + key)
        choice = chosen(self.rows[name], self.net, labelled)
        model = fit_row(choice.row, self.net, labelled)
        sure = self.outputs(model, part.test).softmax(-1).max(-1)
        seconds = time.perf_counter() - began
        predicted, probability = sure.indices.tolist(), [round(p, 6) for p in sure.values.tolist()]
        return Cell(predicted, probability, seconds, choice.selected, choice.how)

    def cost(self, budget: Budget, name: str, part: Part) -> float:
        """Seconds that the row will take on this part."""
        return budget.cost(name, self.rows[name], len(part.labelled), len(part.test))

    def timed(self, cells: Cells, budget: Budget, key: Key, part: Part) -> None:
        """Do a cell, keep it, and learn from the time that it took."""
        name = key[0].rpartition(VALIDATION)[2]
        cell = self.cell(name, part, key[2])
        budget.learn(name, self.rows[name], len(part.labelled), len(part.test), cell.seconds)
        cells.put(key, cell)


def run(
    study: Study, cells: Cells, budget: Budget, reserve: float = 0.0, tell: Tell = lambda what: None
) -> None:
    """Do the cells that are not done yet, cheap rows first, then rounds of those that move the body.

    A round is one draw at one number of labels; it is begun only if every row's cell fits in what is left
    beside the reserve, so that no row has more draws than another.
    """
    for name, row in study.rows.items():
        if row.moves == "head":
            for key in study.keys(name):
                if key not in cells.held and budget.left > 0:
                    tell(name)
                    study.timed(cells, budget, key, study.part(key))
    for block in _rounds(study):
        left = [key for key in block if key not in cells.held]
        if not left or _costs(study, budget, left) > budget.left - reserve:
            continue
        for key in left:
            if _costs(study, budget, [key]) <= budget.left:
                tell(key[0])
                study.timed(cells, budget, key, study.part(key))


def planned(study: Study, cells: Cells, budget: Budget) -> float:
    """Seconds that the cells which are not done would take."""
    return _costs(study, budget, missing(study, cells))


def missing(study: Study, cells: Cells) -> list[Key]:
    """The cells that are not done."""
    return [key for name in study.rows for key in study.keys(name) if key not in cells.held]


def moving(study: Study) -> list[str]:
    """The rows that move the body."""
    return [name for name, row in study.rows.items() if row.moves == "body"]


def _rounds(study: Study) -> list[list[Key]]:
    """Cells of the rows that move the body, by draw, then by number of labels, all last."""
    found: dict[tuple[int, float], list[Key]] = {}
    for name in moving(study):
        for key in study.keys(name):
            found.setdefault((key[2], float("inf") if key[1] is None else key[1]), []).append(key)
    return [found[at] for at in sorted(found)]


def _costs(study: Study, budget: Budget, keys: Sequence[Key]) -> float:
    return sum(study.cost(budget, key[0], study.part(key)) for key in keys)
