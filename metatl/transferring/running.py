"""The cells of a study, in turns, as far as the minutes go."""

from __future__ import annotations

from collections.abc import Sequence

from metatl import tree
from metatl.transferring.budget import LEAST, Budget
from metatl.transferring.cells import Cells, Key
from metatl.transferring.features import forward
from metatl.transferring.settle import reserve
from metatl.transferring.study import Study, moving
from metatl.transferring.timed import TURN, Tell, defaulted, timed

LITTLE = 1e7
"""Numbers in the features of all labelled rows of draws that are done before their time is known."""


def run_heads(study: Study, cells: Cells, budget: Budget, tell: Tell = lambda work: None) -> None:
    """The rows on frozen features: draws side by side, as many of every row at every number of labels.

    First one, or as many as are little work; then as many as time allows.
    """
    names = [name for name in study.rows if name not in moving(study)]
    keys = [key for block in _rounds(study, names) for key in block if key not in cells.held]
    draws = max(1, int(LITTLE / (study.problem.features.width * len(study.problem.task.pool))))
    moment = budget.gone + LEAST
    while keys and (keys[0][2] == 0 or budget.left > 0):
        until = keys[0][2] + draws
        some = [key for key in keys if key[2] < until]
        keys, kept = keys[len(some) :], reserve(study, cells, budget)
        if some[0][2] == 0:
            _first(study, cells, budget, some, (kept, moment), tell)
            keys = [key for key in some if key[2] and key not in cells.held] + keys
        else:
            _further(study, cells, budget, some, kept, tell)
        each = _costs(study, cells, budget, [key for key in keys if key[2] == keys[0][2]] if keys else [])
        draws = max(1, int(min(budget.left - kept, TURN) / max(each, 1e-3)))


def _first(
    study: Study, cells: Cells, budget: Budget, keys: list[Key], seconds: tuple[float, float], tell: Tell
) -> None:
    """First draws: every row has one fit before any chooses its values.

    seconds: what is kept for later, and until when they are done whatever the time.
    """
    later = {key[:2]: study.part(key) for key in reversed(keys)}
    for at in dict.fromkeys(key[:2] for key in keys):
        parts = {key: study.part(key) for key in keys if key[:2] == at}
        own = study.cost(budget, at[0], later.pop(at), False)
        to_come = [study.cost(budget, name, part, False) for (name, _), part in later.items()]
        limit = affordable(own, to_come, budget.left - seconds[0])
        timed(study, cells, budget, parts, max(limit, seconds[1] - budget.gone), tell)


def affordable(own: float, later: Sequence[float], left: float) -> float:
    """The seconds that a fit may take beside one fit of each to come; 0 where it is too dear.

    own, later: seconds of a fit. Where not all fit in, dear ones give way to cheaper ones.
    """
    total, mine = 0.0, False
    for cost, at in sorted([(own, 0), *((cost, 1) for cost in later)]):
        if total + cost > left:
            break
        total, mine = total + cost, mine or at == 0
    return left - (total - own) if mine else 0.0


def _further(study: Study, cells: Cells, budget: Budget, keys: list[Key], kept: float, tell: Tell) -> None:
    """Further draws, at every number of labels of all rows alike that have the first one, or of none."""
    for k in dict.fromkeys(key[1] for key in keys):
        block = [key for key in keys if key[1] == k and (key[0], k, 0) in cells.held]
        if _costs(study, cells, budget, block) <= budget.left - kept:
            for name in dict.fromkeys(key[0] for key in block):
                parts = {key: study.part(key) for key in block if key[0] == name}
                timed(study, cells, budget, parts, budget.left - kept, tell)


def run_bodies(
    study: Study, cells: Cells, budget: Budget, kept: float = 0.0, tell: Tell = lambda work: None
) -> None:
    """The rows that move the body, in rounds: one draw at one number of labels.

    A round is begun only if every row's cell fits in what is left beside , so that no row has more
    draws than another.
    """
    for block in _rounds(study, moving(study)):
        left = [key for key in block if key not in cells.held]
        if left and _costs(study, cells, budget, left) <= budget.left - kept:
            for key in left:
                timed(study, cells, budget, {key: study.part(key)}, budget.left, tell)


def planned(study: Study, cells: Cells, budget: Budget) -> float:
    """Seconds that the cells which are not done would take."""
    return _costs(study, cells, budget, missing(study, cells))


def wanted(study: Study) -> list[Key]:
    """All cells of all rows."""
    return [key for name in study.rows for key in study.keys(name)]


def missing(study: Study, cells: Cells) -> list[Key]:
    """The cells that are not done."""
    return [key for key in wanted(study) if key not in cells.held]


def _rounds(study: Study, names: Sequence[str]) -> list[list[Key]]:
    """The cells of these rows by draw, then by number of labels, all last."""
    found: dict[tuple[int, float], list[Key]] = {}
    for name in names:
        for key in study.keys(name):
            found.setdefault((key[2], float("inf") if key[1] is None else key[1]), []).append(key)
    return [found[at] for at in sorted(found)]


def _costs(study: Study, cells: Cells, budget: Budget, keys: Sequence[Key]) -> float:
    return sum(study.cost(budget, key[0], study.part(key), not defaulted(cells, key)) for key in keys)


def pace(study: Study) -> float:
    """Seconds of a forward pass of one row, the better of two measurements."""
    few = study.problem.prepared.some(study.problem.task.pool[:8])
    body, timer, found = study.net.body(), Budget(0.0), [float("inf")]
    for _ in range(2):
        before = timer.gone
        forward(body, few)
        found.append((timer.gone - before) / tree.rows(few))
    return min(found)
