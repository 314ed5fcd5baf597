"""The rows of the table on one problem: cell by cell, in turns, as far as the minutes go."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from metatl.data.fixed import Index, Part
from metatl.deadline import OutOfTimeError, in_time, within
from metatl.objectives.predictive import Predictive
from metatl.threads import FITTED, few_threads
from metatl.transferring.backbone import Backbone
from metatl.transferring.beside import Beside, reads_on
from metatl.transferring.budget import Budget, work
from metatl.transferring.cells import Cell, Key
from metatl.transferring.choose import Choice, chosen, fits
from metatl.transferring.features import Features
from metatl.transferring.fit import Labelled
from metatl.transferring.judged import said_of
from metatl.transferring.judging import Judged, Scale, judge
from metatl.transferring.learned import LearnedStart
from metatl.transferring.problem import Problem
from metatl.transferring.rows import REFERENCES, Row


@dataclass(frozen=True)
class Study:
    """What is compared.

    labelled: labels of each class, None for all; draws: of each of those numbers; validated: whether the rows
    that move the body choose their values by cross-validation, or take their defaults; learned: by row, what
    was learned on the source and is started from; teacher: features of a larger net, where one is named;
    beside: what rows see of a source that they read.
    """

    problem: Problem
    net: Backbone
    rows: Mapping[str, Row]
    labelled: Sequence[int | None]
    draws: int
    seed: int = 0
    validated: bool = False
    learned: Mapping[str, LearnedStart] = field(default_factory=dict[str, LearnedStart])
    teacher: Features | None = None
    beside: Beside | None = None
    _parts: dict[tuple[int | None, int], Part] = field(default_factory=dict[tuple[int | None, int], Part])

    def keys(self, name: str) -> Iterator[Key]:
        """All cells of a row, smaller numbers of labels first."""
        for k in self.labelled:
            if not self.rows[name].serves(k):
                continue
            for draw in range(self.problem.task.draws(k, self.draws)):
                yield name, k, draw

    @property
    def reference(self) -> str:
        """The row that differences are paired with: of those for labels, where there are labels."""
        able = [name for name, row in self.rows.items() if any(row.serves(k) for k in self.labelled)]
        return next((name for name in REFERENCES if name in able), able[0])

    @property
    def unsupervised(self) -> bool:
        """Whether no label of the target may be read: a source stands beside it, and none is asked for."""
        return self.beside is not None and not any(k != 0 for k in self.labelled)

    def everything(self) -> Index:
        """The rows that the saved model is fitted on: all labelled ones, none where no label may be read."""
        rows = self.problem.task.everything()
        return rows[:0] if self.unsupervised else rows

    def start(self, name: str) -> Backbone:
        """The net that a row starts from."""
        return self.learned[name].net if name in self.learned else self.net

    def features(self, name: str, places: Index, labelled: Index) -> Tensor:
        """What a row sees of these rows, [n, d]: columns, or what the body gives that it starts from."""
        row = self.rows[name]
        if row.adaptation.streams and self.beside is not None:
            return self.beside.seen[reads_on(row, self.problem)].problem.of(places, labelled)
        if row.on == "inputs" and self.problem.encoded is not None:
            return self.problem.encoded.of(places, labelled)
        of = self.learned[name].features if name in self.learned else self.problem.features
        return of.of(places, labelled)

    def given(self, name: str, part: Part, key: int) -> tuple[Labelled, Labelled, Scale]:
        """A cell's labelled rows and those that judge, and what real targets were standardised by."""
        values = self.problem.targets.values[part.labelled]
        if not len(values) and self.beside is not None:
            values = self.beside.y[self.beside.apart(part.test)]
        scale, known = Scale.of(values), part.labelled
        if not len(known):  # columns are numbers by the inputs of rows that do not judge
            known = np.setdiff1d(self.problem.task.pool, part.test)
        inside, rest = (self._labelled(name, at, known, scale, key) for at in (part.labelled, part.test))
        return self._with_source(name, inside, part, scale), rest, scale

    def _with_source(self, name: str, inside: Labelled, part: Part, scale: Scale) -> Labelled:
        """The labelled rows with the streams beside them, where the row reads any.

        Unlabelled are all rows of the problem's that do not judge: predictions stay inductive.
        """
        row = self.rows[name]
        if not row.adaptation.streams or self.beside is None:
            return inside
        free = np.setdiff1d(self.problem.task.pool, part.test)
        near = self.beside.rows(reads_on(row, self.problem), free, part.test)
        source = near.source._replace(y=scale.down(near.source.y))
        return replace(inside, source=source, unlabelled=near.unlabelled, paired=near.paired)

    def _labelled(self, name: str, places: Index, known: Index, scale: Scale, key: int) -> Labelled:
        problem = self.problem

        def rows() -> Any:
            return problem.prepared.some(places)

        y, outputs = scale.down(problem.targets.values[places]), len(problem.targets.names)
        group = None if problem.task.group is None else problem.task.group[places]
        names = partial(self.net.name_vectors, problem.targets.names)
        taught = None if self.teacher is None else self.teacher.of(places, known)
        return Labelled(self.features(name, places, known), y, rows, outputs, key, names, group, taught)

    def part(self, key: Key) -> Part:
        """The labelled and the judging rows of a cell."""
        if key[1:] not in self._parts:
            self._parts[key[1:]] = self.problem.task.draw(key[1], key[2])
        return self._parts[key[1:]]

    def cells(
        self, name: str, parts: Mapping[Key, Part], thorough: bool = True, choosing: float = math.inf
    ) -> list[Cell]:
        """Choose, fit and predict; rows that judge are looked at here and nowhere else.

        Parts of one size, side by side where the body stays; a cell's seconds are then its share. thorough,
        choosing: as in `chosen`.
        """
        began = time.perf_counter()
        some = [self.given(name, part, self.seed * 1000 + key[2]) for key, part in parts.items()]
        still = self.rows[name].moves == "head"
        with few_threads(still and sum(inside.size for inside, _, _ in some) <= FITTED):
            choices = self.chosen(name, [labelled for labelled, _, _ in some], thorough, choosing)
            outputs: dict[int, Predictive] = {}
            for selected in {repr(choice.selected): choice.row for choice in choices}.values():
                places = [i for i, choice in enumerate(choices) if choice.row == selected]
                asked = [some[i][:2] for i in places]
                outputs |= zip(places, said_of(selected, self.start(name), asked), strict=True)
            seconds = (time.perf_counter() - began) / len(some)
            told = [some[i][2].told(outputs[i]) for i in range(len(some))]
            y = [self.problem.targets.values[part.test] for part in parts.values()]
            found = [judge(one.mean, true, one.variance) for one, true in zip(told, y, strict=True)]
        return [_cell(one, choice, seconds) for one, choice in zip(found, choices, strict=True)]

    def chosen(
        self, name: str, draws: Sequence[Labelled], thorough: bool = True, seconds: float = math.inf
    ) -> list[Choice]:
        """For every draw the row with values chosen among its rows; its defaults where that is not thorough.

        So it is where choosing is not done within these seconds.
        """
        row = self.rows[name]
        if thorough and self.chooses(name):
            try:
                with within(seconds):
                    return chosen(row, self.start(name), draws)
            except OutOfTimeError:
                in_time()
        return chosen(row, self.start(name), draws, validate=False)

    def chooses(self, name: str) -> bool:
        """Whether the row chooses its values where the minutes allow."""
        return self.validated or self.rows[name].moves == "head"

    def size(self, name: str, part: Part, thorough: bool = True) -> tuple[Row, int, int, float]:
        """What a cell's time depends on: the row, labelled and judging rows, and fits."""
        row, rows, classes = self.rows[name], len(part.labelled), int(self.problem.task.labels.max()) + 1
        return row, rows, len(part.test), fits(row, rows, classes, thorough and self.chooses(name))

    def cost(self, budget: Budget, name: str, part: Part, thorough: bool = True) -> float:
        """Seconds that the row will take on this part."""
        return budget.cost(name, *self.size(name, part, thorough))

    def work(self, name: str, part: Part) -> int:
        """What the row does on this part, in rows."""
        return 1 + round(work(*self.size(name, part)))


def _cell(found: Judged, choice: Choice, seconds: float) -> Cell:
    how = "diverged" if found.diverged == len(found.predicted) else choice.how
    return Cell(**vars(found), seconds=seconds, selected=choice.selected, how=how)


def moving(study: Study) -> list[str]:
    """The rows that move the body."""
    return [name for name, row in study.rows.items() if row.moves == "body"]
