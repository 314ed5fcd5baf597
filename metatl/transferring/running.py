"""The cells of a study, in turns, as far as the minutes go."""

from __future__ import annotations

from collections.abc import Sequence

from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells, Key
from metatl.transferring.study import Study, Tell, moving

TURN = 10.0
"""Seconds for which rows on frozen features work at most until what they did is kept."""
LITTLE = 1e7
"""Numbers in the features of all labelled rows of draws that are done before their time is known."""


def run_heads(study: Study, cells: Cells, budget: Budget, tell: Tell = lambda work: None) -> None:
    """The rows on frozen features: draws side by side, as many of every row at every number of labels.

    The first ones whatever the time: one, or as many as are little work. Then as many as time allows.
    """
    names = [name for name in study.rows if name not in moving(study)]
    keys = [key for block in _rounds(study, names) for key in block if key not in cells.held]
    draws = max(1, int(LITTLE / (study.problem.features.width * len(study.problem.task.pool))))
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


def _rounds(study: Study, names: Sequence[str]) -> list[list[Key]]:
    """The cells of these rows by draw, then by number of labels, all last."""
    found: dict[tuple[int, float], list[Key]] = {}
    for name in names:
        for key in study.keys(name):
            found.setdefault((key[2], float("inf") if key[1] is None else key[1]), []).append(key)
    return [found[at] for at in sorted(found)]


def _costs(study: Study, budget: Budget, keys: Sequence[Key]) -> float:
    return sum(study.cost(budget, key[0], study.part(key)) for key in keys)
