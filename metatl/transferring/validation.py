"""Cells of the validation: every row on all labelled rows, fold by fold."""

from __future__ import annotations

from collections.abc import Sequence

from metatl.data.fixed import Index, Part
from metatl.transferring.cells import Cells, Key
from metatl.transferring.choose import folds_of
from metatl.transferring.study import Study
from metatl.transferring.timed import VALIDATION


def row_of(key: Key) -> str:
    """The row of a cell of the validation."""
    return key[0].removeprefix(VALIDATION)


def left(study: Study, cells: Cells, names: Sequence[str]) -> list[tuple[Key, Part]]:
    """Cells of the validation that are not done, fold by fold."""
    rows, folds = study.everything(), folds_of_all(study)
    if folds is None:
        return []
    keys: list[Key] = [(VALIDATION + name, None, f) for f in range(int(folds.max()) + 1) for name in names]
    return [(key, _part(rows, folds, key[2])) for key in keys if key not in cells.held]


def unvalidated(study: Study, cells: Cells) -> int:
    """The work that all of them would be, in rows."""
    return sum(study.work(row_of(key), part) for key, part in left(study, cells, list(study.rows)))


def folds_of_all(study: Study) -> Index | None:
    """[n]: the fold of every labelled row; None where a class has one row only, or no label may be read."""
    task = study.problem.task
    rows = task.everything()
    if study.unsupervised:
        return None
    return folds_of(task.labels[rows], study.seed, None if task.group is None else task.group[rows])


def _part(rows: Index, folds: Index, fold: int) -> Part:
    return Part(rows[folds != fold], rows[folds == fold])
