"""The rows of the table on one problem: cell by cell, in turns, as far as the minutes go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metatl.data.fixed import Index, Part
from metatl.transferring.backbone import Backbone
from metatl.transferring.budget import Budget, work
from metatl.transferring.cells import Cell, Cells, Key
from metatl.transferring.choose import Choice, chosen, fits
from metatl.transferring.fit import NO_CLASS, Labelled, classes_of, judged
from metatl.transferring.learned import Learned
from metatl.transferring.problem import Problem
from metatl.transferring.rows import Row

VALIDATION = "validation."
"""Before a row's name: cells inside the labelled photos, by which the saved row is chosen."""
TURN = 10.0
"""Seconds for which rows on frozen features work at most until what they did is kept."""
LITTLE = 1e7
"""Numbers in the features of all labelled photos of draws that are done before their time is known."""
Tell = Callable[[int], None]
"""Called after every cell with its work, in photos."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    labelled: labels of each class, None for all; draws: of each of those numbers; validated: whether the rows
    that move the body choose their values by cross-validation, or take their defaults; learned: by row, what
    was learned on source photos and is started from.
    """

    problem: Problem
    net: Backbone
    rows: Mapping[str, Row]
    labelled: Sequence[int | None]
    draws: int
    seed: int = 0
    validated: bool = False
    learned: Mapping[str, Learned] = field(default_factory=dict[str, Learned])

    def keys(self, name: str) -> Iterator[Key]:
        """All cells of a row, smaller numbers of labels first."""
        for k in self.labelled:
            for draw in range(self.problem.task.draws(k, self.draws)):
                yield name, k, draw

    def start(self, name: str) -> Backbone:
        """The net that a row starts from."""
        return self.learned[name].net if name in self.learned else self.net

    def features(self, name: str, places: Index) -> Tensor:
        """What the body that a row starts from gives for these photos, [n, d]."""
        of = self.learned[name].features if name in self.learned else self.problem.features
        return of[torch.from_numpy(places)]

    def labelled_rows(self, name: str, places: Index, key: int) -> Labelled:
        """These photos as a row's labelled ones."""
        problem = self.problem

        def photos() -> Tensor:
            return problem.pictures.some(places)

        y = torch.from_numpy(problem.labels[places])
        return Labelled(self.features(name, places), y, photos, len(problem.classes), key)

    def part(self, key: Key) -> Part:
        """The labelled and the judging photos of a cell."""
        return self.problem.task.draw(key[1], key[2])

    def cells(self, name: str, parts: Mapping[Key, Part]) -> list[Cell]:
        """Choose, fit and predict; photos that judge are looked at here and nowhere else.

        Parts of one size, side by side where the body stays; a cell's seconds are then its share.
        """
        began = time.perf_counter()
        some = [
            (
                self.labelled_rows(name, part.labelled, self.seed * 1000 + key[2]),
                self.labelled_rows(name, part.test, 0),
            )
            for key, part in parts.items()
        ]
        choices = self.chosen(name, [labelled for labelled, _ in some])
        outputs: dict[int, Tensor] = {}
        for selected in {repr(choice.selected): choice.row for choice in choices}.values():
            places = [i for i, choice in enumerate(choices) if choice.row == selected]
            outputs |= zip(places, judged(selected, self.start(name), [some[i] for i in places]), strict=True)
        seconds = (time.perf_counter() - began) / len(some)
        return [_cell(outputs[i], choice, seconds) for i, choice in enumerate(choices)]

    def chosen(self, name: str, draws: Sequence[Labelled]) -> list[Choice]:
        """For every draw the row with values chosen among its photos, or its defaults."""
        row = self.rows[name]
        return chosen(row, self.start(name), draws, self.validated or row.moves == "head")

    def _size(self, name: str, part: Part) -> tuple[Row, int, int, float]:
        row, classes = self.rows[name], len(self.problem.classes)
        return row, len(part.labelled), len(part.test), fits(row, len(part.labelled), classes, self.validated)

    def cost(self, budget: Budget, name: str, part: Part) -> float:
        """Seconds that the row will take on this part."""
        return budget.cost(name, *self._size(name, part))

    def work(self, name: str, part: Part) -> int:
        """What the row does on this part, in photos."""
        return 1 + round(work(*self._size(name, part)))

    def timed(self, cells: Cells, budget: Budget, parts: Mapping[Key, Part], tell: Tell) -> None:
        """Do cells of one row and one number of labels, keep them, and learn from the time that they took."""
        name = next(iter(parts))[0].removeprefix(VALIDATION)
        for (key, part), cell in zip(parts.items(), self.cells(name, parts), strict=True):
            budget.learn(name, *self._size(name, part), cell.seconds)
            cells.put(key, cell)
            tell(self.work(name, part))


def _cell(outputs: Tensor, choice: Choice, seconds: float) -> Cell:
    predicted = classes_of(outputs)
    sure = torch.where(predicted == NO_CLASS, 0.0, outputs.softmax(-1).amax(-1))
    how = "diverged" if bool((predicted == NO_CLASS).all()) else choice.how
    return Cell(predicted.tolist(), [round(p, 6) for p in sure.tolist()], seconds, choice.selected, how)


def run_heads(study: Study, cells: Cells, budget: Budget, tell: Tell = lambda work: None) -> None:
    """The rows on frozen features: draws side by side, as many of every row at every number of labels.

    The first ones whatever the time: one, or as many as are little work. Then as many as time allows.
    """
    names = [name for name in study.rows if name not in moving(study)]
    keys = [key for block in _rounds(study, names) for key in block if key not in cells.held]
    draws = max(1, int(LITTLE / study.problem.features[study.problem.task.pool].numel()))
    while keys and (keys[0][2] == 0 or budget.left > 0):
        until = keys[0][2] + draws
        some = [key for key in keys if key[2] < until]
        keys = keys[len(some) :]
        for at in dict.fromkeys(key[:2] for key in some):
            parts = {key: study.part(key) for key in some if key[:2] == at}
            study.timed(cells, budget, parts, tell)
        each = _costs(study, budget, [key for key in keys if key[2] == keys[0][2]] if keys else [])
        draws = max(1, int(min(budget.left, TURN) / max(each, 1e-3)))


def run_bodies(
    study: Study, cells: Cells, budget: Budget, reserve: float = 0.0, tell: Tell = lambda work: None
) -> None:
    """The rows that move the body, in rounds: one draw at one number of labels.

    A round is begun only if every row's cell fits in what is left beside the reserve, so that no row has more
    draws than another.
    """
    for block in _rounds(study, moving(study)):
        left = [key for key in block if key not in cells.held]
        if left and _costs(study, budget, left) <= budget.left - reserve:
            for key in left:
                if _costs(study, budget, [key]) <= budget.left:
                    study.timed(cells, budget, {key: study.part(key)}, tell)


def planned(study: Study, cells: Cells, budget: Budget) -> float:
    """Seconds that the cells which are not done would take."""
    return _costs(study, budget, missing(study, cells))


def missing(study: Study, cells: Cells) -> list[Key]:
    """The cells that are not done."""
    return [key for name in study.rows for key in study.keys(name) if key not in cells.held]


def moving(study: Study) -> list[str]:
    """The rows that move the body."""
    return [name for name, row in study.rows.items() if row.moves == "body"]


def _rounds(study: Study, names: Sequence[str]) -> list[list[Key]]:
    """The cells of these rows by draw, then by number of labels, all last."""
    found: dict[tuple[int, float], list[Key]] = {}
    for name in names:
        for key in study.keys(name):
            found.setdefault((key[2], float("inf") if key[1] is None else key[1]), []).append(key)
    return [found[at] for at in sorted(found)]


def _costs(study: Study, budget: Budget, keys: Sequence[Key]) -> float:
    return sum(study.cost(budget, key[0], study.part(key)) for key in keys)
