"""Which rows of the table a net, inputs and targets give something to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from metatl.adapt import ClosedForm, Descent
from metatl.data.examples import Examples
from metatl.heads import Zeros
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import started
from metatl.transferring.judging import Scale
from metatl.transferring.problem import Problem
from metatl.transferring.readout import answers
from metatl.transferring.rows import ALL, REFERENCES, USUAL, Row
from metatl.types import Batch, Episode, MetatlError


def applicable(
    found: Mapping[str, Row], named: Sequence[str], net: Backbone, problem: Problem
) -> tuple[dict[str, Row], list[str]]:
    """The rows that fit net, inputs and targets, as they are for these, and notes on those that are left out.

    named: names and words asked for; of a name the first reason is raised as MetatlError; of the references
    beside them the first is enough.
    """
    kept, left = dict[str, Row](), dict[str, list[str]]()
    beside = {name for name in REFERENCES if named and not {name, ALL, USUAL} & {*named}}
    for name, row in found.items():
        of, why = _hindrance(row, net, problem)
        if not why:
            kept[name] = row.of(problem.targets.kind)
        elif name in named:
            raise MetatlError(f"method {name!r} {why}")
        elif of and name not in beside:
            lacking = row.transform is not None and of == _NET
            left.setdefault("" if lacking else of, []).append(
                name if of != _NET else f"{name} is left out: it {why}."
            )
    for name in [name for name in REFERENCES if name in kept][1:]:
        if name in beside:
            del kept[name]
    if not kept:
        raise MetatlError(f"none of {', '.join(found)} fits these data; see 'metatl methods'")
    notes = left.pop(_NET, []) + _together(left.pop("", []))
    return kept, [*notes, *(f"Left out, {of}: {', '.join(names)}." for of, names in left.items())]


def readable(found: dict[str, Row], named: Sequence[str], examples: Examples) -> dict[str, Row]:
    """The rows; MetatlError for one asked for by name that reads columns where there are none.

    `applicable` says it too, but after the features of thousands of photos are computed for nothing.
    """
    for name in [name for name in named if name in found and examples.inputs.columns is None]:
        if found[name].on == "inputs":
            raise MetatlError(f"method {name!r} {_no_columns(examples.inputs.unit)}")
    return found


def _no_columns(unit: str) -> str:
    return f"reads columns, and these are {unit}s"


_NET = "in this net"


def _together(notes: list[str]) -> list[str]:
    """Notes on rows whose transforms find no layer: the first whole, the others by name."""
    names = ", ".join(note.split(" ", 1)[0] for note in notes[1:])
    return notes[:1] + ([f"Nor has it layers for: {names}."] if names else [])


def _hindrance(row: Row, net: Backbone, problem: Problem) -> tuple[str, str]:
    """Why a row cannot serve, in short and in words; rows for other data have no short one."""
    if why := _unlike(row, net, problem):
        return "", why
    if lacking := row.adaptation.missing:
        return "as a package is not installed", f"needs {lacking}"
    if row.moves == "body" and not net.moves:
        why = "moves the body of a net, and there is none; name one with --net, or give --source"
        return "as there is no net whose body could move", why
    if why := _hindered(row, net, problem):
        return _NET, why
    return "as they do not take such targets or so many columns", _unfit(row, problem)


def _unlike(row: Row, net: Backbone, problem: Problem) -> str:
    """Why a row is for other data altogether; nothing where it is not."""
    if row.reads == "names" and not (net.reads_texts and problem.targets.kind == "classes"):
        return "reads the names of classes, which needs a net for texts, and classes"
    if row.on == "inputs" and problem.encoded is None:
        return _no_columns(problem.unit)
    if row.on == "inputs" and not net.moves and isinstance(row.adaptation, ClosedForm):
        return "is the same on features here: there is no net, and columns are the features"
    return ""


def _hindered(row: Row, net: Backbone, problem: Problem) -> str:
    """Why a row finds nothing to act on in the net; nothing where it does."""
    try:
        if row.mask is not None:
            _large_enough(row, net, len(problem.targets.names))
        if row.transform is not None or (row.guide is not None and row.learner is None):
            started(row, net, net.module, 2)
    except MetatlError as error:
        return f"has nothing to act on in this net ({error})"
    return ""


def _unfit(row: Row, problem: Problem) -> str:
    """Why a row cannot serve such targets; nothing where it can."""
    most, encoded = row.adaptation.columns, problem.encoded
    if most is not None and encoded is not None:
        pool = problem.task.pool
        width = encoded.of(pool[:1], pool).shape[1]
        if width > most:
            return f"takes {most} columns at most, and these are {width} as numbers; leave some out"
    try:
        _tried(row, problem)
    except MetatlError as error:
        return f"does not fit these targets ({error})"
    return ""


def _tried(row: Row, problem: Problem) -> None:
    """A fit of its adaptation to a few rows of numbers with such targets; raises what that raises."""
    targets = problem.targets
    strata = problem.task.labels
    places = np.concatenate([np.flatnonzero(strata == label)[:2] for label in np.unique(strata)[:5]])
    y = Scale.of(targets.values[places]).down(targets.values[places])
    if row.teacher is not None:
        y = {"labels": y, "teacher": torch.zeros(len(places), len(targets.names))}
    x = torch.randn(len(places), 3, generator=torch.Generator().manual_seed(0))
    adaptation = row.adaptation.brief
    if isinstance(adaptation, Descent):
        adaptation = replace(adaptation, steps=1, head=Zeros())
    answers(adaptation, [Episode(Batch(x, y), Batch(x))], [0], len(targets.names))


def _large_enough(row: Row, net: Backbone, outputs: int) -> None:
    """Raise MetatlError where a mask has no weight left to choose in the net."""
    head = net.module.get_submodule(net.head)
    always = outputs * (next(head.parameters()).shape[-1] + 1)
    inside = {name for name, _ in head.named_parameters(net.head)}
    body = {name: torch.zeros_like(p) for name, p in net.module.named_parameters() if name not in inside}
    assert row.mask is not None
    row.mask.shape(body, always)
