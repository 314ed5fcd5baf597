"""A cell within its seconds: with values chosen, with its defaults, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from metatl.data.fixed import Index, Part
from metatl.deadline import OutOfTimeError, within
from metatl.transferring.budget import FEW, HARMLESS, Budget
from metatl.transferring.cells import Cells, Key
from metatl.transferring.choose import Choice, again
from metatl.transferring.held_out import part_of
from metatl.transferring.judged import judged
from metatl.transferring.study import Study
from metatl.types import MetatlError

VALIDATION = "validation."
"""Before a row's name: cells inside the labelled rows, by which the saved row is chosen."""
TURN = 10.0
"""Seconds for which rows on frozen features work at most until what they did is kept."""
WRONG = 2.0
"""Times what it was thought to take, after which choosing is given up."""
CHOSEN = ("cv", "source")
"""How values came about that cost a cross-validation."""
Tell = Callable[[int], None]
"""Called after every cell with its work, in rows."""


def timed(
    study: Study,
    cells: Cells,
    budget: Budget,
    parts: Mapping[Key, Part],
    seconds: float,
    tell: Tell,
    thorough: bool = True,
) -> None:
    """Do cells of one row and one number of labels, keep them, and learn from the time that they took.

    Where they would take more than these seconds, which are known from fits to fewer rows, they take the
    row's defaults, as do later ones beside them; where that is too much too, they are not done. Nor are they
    where the row refuses: the others go on without it.
    """
    name = next(iter(parts))[0].removeprefix(VALIDATION)
    if name in cells.refused:
        return
    try:
        _timed(study, cells, budget, name, parts, seconds, tell, thorough)
    except MetatlError as error:
        cells.refused[name] = str(error)


def _timed(
    study: Study,
    cells: Cells,
    budget: Budget,
    name: str,
    parts: Mapping[Key, Part],
    seconds: float,
    tell: Tell,
    thorough: bool,
) -> None:
    (first, part), count = next(iter(parts.items())), len(parts)
    seconds -= tried(study, budget, name, part, seconds / 2)
    unknown, several = not budget.knows(name), count * study.cost(budget, name, part, thorough)
    if first[2] == 0 and ((unknown and not len(part.labelled)) or several > min(TURN, seconds)):
        parts, count = {first: part}, 1  # the others come when more is known
    once, all_fits = (count * study.cost(budget, name, part, whole) for whole in (False, True))
    decided = (*first[:2], 0) in cells.held
    thorough = thorough and not defaulted(cells, first) and (decided or all_fits <= seconds)
    if (all_fits if thorough else once) > seconds:
        return
    began = time.perf_counter()
    try:
        with within(seconds):
            guess = max(TURN, seconds / 8) if unknown else 0.0  # without labels no trial was timed
            known = max(WRONG * all_fits, guess)
            found = study.cells(name, parts, thorough, min(seconds - once, known))
    except OutOfTimeError:
        budget.learn(name, *study.size(name, part, thorough), (time.perf_counter() - began) / count)
        return
    done = dict(zip(parts, found, strict=True))
    cells.put(done)
    for key, part in parts.items():
        budget.learn(name, *study.size(name, part, done[key].how in CHOSEN), done[key].seconds)
        tell(study.work(name, part))


def defaulted(cells: Cells, key: Key) -> bool:
    """Whether the first cell of the row at this number of labels took the defaults."""
    first = cells.held.get((*key[:2], 0))
    return first is not None and first.how == "default"


def chosen_before(study: Study, name: str, rows: Index, cells: Cells) -> Choice | None:
    """What the row's cell with all labels chose among these very rows."""
    key = (name, None, 0)
    cell = cells.held.get(key)
    if cell is None or cell.how != "cv" or set(study.part(key).labelled) != set(rows):
        return None
    return again(study.rows[name], cell.selected, cell.how)


def tried(study: Study, budget: Budget, name: str, part: Part, seconds: float) -> float:
    """Time a row on frozen features on more and more rows before the first fit to many; what that took."""
    row, began = study.rows[name], time.perf_counter()
    while row.moves == "head" and (rows := budget.trial(name, len(part.labelled), seconds)):
        left = seconds - (time.perf_counter() - began)
        if left <= 0:
            break
        inside, rest, _ = study.given(name, part, study.seed * 1000)
        some, took = [(part_of(inside, np.arange(rows)), rest)], list[float]()
        for _ in range(2 if rows <= FEW else 1):  # one of two short ones may have waited for other work
            if took and took[0] < HARMLESS * left:
                break
            start = time.perf_counter()
            try:
                with within(left):
                    judged(row, study.start(name), some)
            except OutOfTimeError:
                pass  # it takes this long at least
            took.append(time.perf_counter() - start)
        budget.learn(name, row, rows, rows, 1.0, min(took))
    return time.perf_counter() - began
