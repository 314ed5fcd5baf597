"""Which row is saved: the best in cross-validation inside all labelled rows; the test part has no say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metatl.adapt import check_outputs
from metatl.data.fixed import Index, Part
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells, Key
from metatl.transferring.choose import Choice, folds_of, surely
from metatl.transferring.fit import Model, fit
from metatl.transferring.judging import Scale, score_of, shown
from metatl.transferring.study import VALIDATION, Study, Tell, moving
from metatl.types import MetatlError

SHARE = 0.3
"""Of the minutes, what choosing among rows that move the body may take."""


@dataclass(frozen=True)
class Settled:
    """The chosen row; how: in words; score: the cross-validated score by row, shares in percent."""

    method: str
    how: str
    score: dict[str, float]


def reserve(study: Study, cells: Cells, budget: Budget) -> float:
    """Seconds to keep for the choice and the last fit; of rows that move the body only up to a share."""
    rows, folds, bodies = study.problem.task.everything(), _folds(study), moving(study)
    whole = Part(rows, rows[:0])
    if folds is None:
        return max((study.cost(budget, name, whole) for name in study.rows), default=0.0)
    heads = [name for name in study.rows if name not in bodies]
    kept = sum(
        study.cost(budget, key[0].removeprefix(VALIDATION), part) for key, part in _left(study, cells, heads)
    )
    kept += max((study.cost(budget, name, whole) for name in heads), default=0.0)
    wanted = sum(study.cost(budget, name, _part(rows, folds, 0)) for name in bodies)
    wanted += max((study.cost(budget, name, whole) for name in bodies), default=0.0)
    return kept + (wanted if kept + wanted <= SHARE * budget.seconds else 0.0)


def validate(study: Study, cells: Cells, budget: Budget, tell: Tell = lambda work: None) -> None:
    """Cross-validate every row on all labelled rows, fold by fold, as far as the minutes go."""
    rows, bodies = study.problem.task.everything(), moving(study)
    whole = Part(rows, rows[:0])
    for names in ([name for name in study.rows if name not in bodies], bodies):
        blocks: dict[int, list[tuple[Key, Part]]] = {}
        for key, part in _left(study, cells, names):
            blocks.setdefault(key[2], []).append((key, part))
        last = max((study.cost(budget, name, whole) for name in names), default=0.0)
        for block in blocks.values():
            cost = sum(study.cost(budget, key[0].removeprefix(VALIDATION), part) for key, part in block)
            if cost + last > budget.left:
                break
            for key, part in block:
                study.timed(cells, budget, {key: part}, tell)


def _left(study: Study, cells: Cells, names: Sequence[str]) -> list[tuple[Key, Part]]:
    """Cells of the validation that are not done, fold by fold."""
    rows, folds = study.problem.task.everything(), _folds(study)
    if folds is None:
        return []
    keys: list[Key] = [(VALIDATION + name, None, f) for f in range(int(folds.max()) + 1) for name in names]
    return [(key, _part(rows, folds, key[2])) for key in keys if key not in cells.held]


def settle(study: Study, cells: Cells) -> Settled:
    """The row with the best cross-validated score on the rows that all candidates have judged.

    A candidate is a row with one fold or more, none of which diverged; of equals the earlier one in the
    table. Without folds (one row of a class) it is the reference, or the first one. Raises MetatlError
    where every row diverged.
    """
    folds = _folds(study)
    done = {name: cells.draws(VALIDATION + name, None) for name in study.rows}
    judged = [name for name in study.rows if done[name]]
    lost = [name for name in judged if any(_diverged(cells, name, fold) for fold in done[name])]
    candidates = [name for name in judged if name not in lost]
    if judged and not candidates:
        raise MetatlError(
            f"every row diverges in cross-validation: {', '.join(lost)}; name others by --methods"
        )
    if folds is None or not candidates:
        name = study.reference
        return Settled(name, "taken without choice: nothing to validate on", {})
    common = sorted(set.intersection(*(set(done[name]) for name in candidates)))
    of, score = score_of(study.problem.targets.values), dict[str, float]()
    for name in candidates:
        held = [cells.held[VALIDATION + name, None, fold].scores for fold in common]
        score[name] = float(np.concatenate([np.array(one, float) for one in held]).mean())
    best = max(candidates, key=lambda name: of.sign * score[name])
    score = {name: shown(of, value) for name, value in score.items()}
    count = int(folds.max()) + 1
    how = f"best of {len(candidates)} rows in {len(common)} of {count} folds of the labelled "
    how += f"{study.problem.unit}s"
    left = [name for name in study.rows if name not in judged]
    how += f"; not in the choice, for want of minutes: {', '.join(left)}" if left else ""
    how += f"; not in the choice, as they diverge: {', '.join(lost)}" if lost else ""
    return Settled(best, how, score)


def fit_all(study: Study, name: str) -> tuple[Choice, Model, Scale]:
    """The row fitted on all labelled rows, its values chosen by cross-validation among them.

    Raises MetatlError where that diverges.
    """
    rows = study.problem.task.everything()
    labelled, _, scale = study.given(name, Part(rows, rows[:0]), study.seed * 1000)
    try:
        choice = study.chosen(name, [labelled])[0]
        fitted = fit(surely(choice).row, study.start(name), labelled)
        check_outputs(fitted.outputs(labelled.features, labelled.rows), study.problem.unit)
    except MetatlError as error:
        raise MetatlError(
            f"{name}, fitted on all labelled {study.problem.unit}s: {error}; leave it out by --methods"
        ) from error
    return choice, fitted, scale


def _diverged(cells: Cells, name: str, fold: int) -> bool:
    return cells.held[VALIDATION + name, None, fold].diverged > 0


def _folds(study: Study) -> Index | None:
    task = study.problem.task
    rows = task.everything()
    return folds_of(task.labels[rows], study.seed, None if task.group is None else task.group[rows])


def _part(rows: Index, folds: Index, fold: int) -> Part:
    return Part(rows[folds != fold], rows[folds == fold])
