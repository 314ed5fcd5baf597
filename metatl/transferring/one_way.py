"""One way of transferring, named beforehand, fitted as `metatl transfer` fits the one that it saves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.examples import Examples, Inputs
from metatl.data.fixed import Fixed
from metatl.lab.experiment import with_value
from metatl.transferring import asked
from metatl.transferring.applicable import applicable
from metatl.transferring.backbone import Backbone
from metatl.transferring.budget import Budget
from metatl.transferring.model import SavedModel
from metatl.transferring.opened import USUAL
from metatl.transferring.pretraining import net_for
from metatl.transferring.problem import read_problem
from metatl.transferring.rows import REFERENCES, Row, rows, scaled, spelt
from metatl.transferring.settle import Settled, fit_all
from metatl.transferring.source import distinct
from metatl.transferring.study import Study
from metatl.transferring.told import told_of_additions
from metatl.transferring.written import model_of
from metatl.types import MetatlError

AGES = 1e9
"""Seconds that no fit reaches: nobody asked for fewer."""


@dataclass(frozen=True)
class OneWay:
    """What is fitted, and on how many labels.

    method: row of the table, None for the first reference that fits the targets; size: of pictures; seed: of
    what is drawn; labelled: rows of each class (of labels and real values: rows), None for all; values: of
    the row's config in place of those that cross-validation would choose, `{"solver.l2": 0.1}` say.
    """

    method: str | None = None
    size: int | None = None
    seed: int = 0
    labelled: int | None = None
    values: Mapping[str, Any] | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """The row, or those that it is one of; MetatlError for a name or a value that is none."""
        found = rows(REFERENCES if self.method is None else [spelt(self.method)])
        needing = next((name for name, row in found.items() if row.learner is not None), None)
        if needing is not None:
            raise MetatlError(f"method {needing!r} learns on a source first; use metatl.transfer")
        return {name: _with(row, self.values or {}) for name, row in found.items()}


def fit_one(
    way: OneWay, net: str | Path | Backbone | None, examples: Examples, source: Examples | None = None
) -> SavedModel:
    """The way fitted to all rows that may be labelled, or to as many as it says.

    net: that which rows go through, by name or as it is; None: the usual one for such rows, of columns none,
    or an MLP that is learned on the source. Warns in one line where the way adds weights at some of the net's
    layers alone. Raises MetatlError in one line for whatever cannot work.
    """
    found, named = way.rows, [] if way.method is None else [*way.rows]
    usual = USUAL.get(examples.inputs.unit)
    asked.check_source(found, named, source is not None, usual is None and net is None)
    asked.check_alike(examples, source)
    source = None if source is None else distinct(source, examples)[0]
    if not isinstance(net, Backbone):
        net, _ = net_for(usual if net is None else net, way.size, source, examples, way.seed)
    found = {name: scaled(row, net.rate, net.seen) for name, row in found.items()}
    _check_read(examples.inputs)
    problem = read_problem(_drawn(examples, way), net, way.seed)
    if problem.left_out:
        raise MetatlError(f"{problem.left_out[0]}; mend it or leave it out")
    kept, _ = applicable(found, named, net, problem)
    for note in told_of_additions(kept, net):
        warnings.warn(note, UserWarning, stacklevel=3)
    study = Study(problem, net, kept, [None], 1, way.seed, validated=True)
    name = study.reference
    choice, fitted, scale = fit_all(study, name, Budget(AGES))
    return model_of(study, Settled(name, "named", {}), choice, (fitted, scale), examples.reader)


def _check_read(inputs: Inputs) -> None:
    """Raise MetatlError for the first row that cannot be read: nobody is there to be told of it."""
    for why in inputs.lost.values():
        raise MetatlError(why)
    for place in range(len(inputs)):
        inputs.digest(place)


def _drawn(examples: Examples, way: OneWay) -> Examples:
    """The examples with as many labelled rows as were asked for."""
    if way.labelled is None:
        return examples
    task = Fixed(examples.targets.strata(), examples.pool, np.zeros(0, np.int64), way.seed, examples.group)
    if not 0 < way.labelled <= task.most:
        raise MetatlError(f"labelled is {way.labelled}; there are 1 to {task.most} rows to draw from")
    return replace(examples, pool=task.draw(way.labelled, 0).labelled)


def _with(row: Row, values: Mapping[str, Any]) -> Row:
    adaptation = row.adaptation
    for path, value in values.items():
        adaptation = with_value(adaptation, path, value)
    select = {path: grid for path, grid in (row.select or {}).items() if path not in values}
    return replace(row, adaptation=adaptation, select=select or None)
