"""report.json: the protocol, and one row for each way and number of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metatl.evaluation.statistics import FEWEST_DRAWS, holm
from metatl.transferring.cells import ALL, Cell, Cells, right
from metatl.transferring.rows import NO_TRANSFER, REFERENCE
from metatl.transferring.scores import Matrix, difference, interval, matrix, rounded, worse
from metatl.transferring.study import Study, missing

Values = dict[str, Any]
MEANING = {
    "score": "accuracy in percent: mean over draws of each draw's share of test photos named rightly",
    "ci95": (
        "95 %, over draws and test photos: Wilson's, with the variance between draws and between photos and "
        "Student's t of Satterthwaite's degrees of freedom; over photos alone where all labelled are used "
        f"in fewer than {FEWEST_DRAWS} folds; null with fewer draws, and for differences that do not vary"
    ),
    "difference": f"score minus that of {REFERENCE} on the same draws and photos, in percentage points",
    "p": "two-sided, of the same interval; Holm-corrected over the rows at one number of labels",
    "diverged": "predictions of test photos that are not finite; they count as wrong",
    "harmed": f"percent of the draws shared with {NO_TRANSFER} where the row is worse than it; null without",
    "moved": "whether weights below the output layer were trained on the labelled photos",
    "seconds": "mean of a draw: to choose, fit and predict",
    "selected": "how: cv (inside the labelled photos of each draw), default (no cross-validation), fixed, "
    "diverged",
}


def report(study: Study, cells: Cells, protocol: Mapping[str, Any]) -> Values:
    """What `report.json` holds; rows by number of labels, then in the order of the rows."""
    found: list[Values] = []
    for k in study.labelled:
        found += _corrected([_row(study, cells, name, k) for name in study.rows if cells.draws(name, k)])
    lacking = Counter((name, k) for name, k, _ in missing(study, cells))
    said = [
        {"method": name, "labelled": _label(k), "draws_missing": n, "draws_done": len(cells.draws(name, k))}
        for (name, k), n in lacking.items()
    ]
    return {"protocol": {**protocol, "meaning": MEANING, "missing": said}, "rows": found}


def table_of(study: Study, cells: Cells, name: str, k: int | None, draws: Sequence[int]) -> Matrix:
    """[draws, photos] of a row: which test photos it named rightly."""
    labels, parts = study.problem.labels, [study.part((name, k, draw)) for draw in draws]
    held = [cells.held[name, k, draw] for draw in draws]
    pairs = [(part.test, right(cell, labels[part.test])) for part, cell in zip(parts, held, strict=True)]
    return matrix(pairs, len(labels))


def _row(study: Study, cells: Cells, name: str, k: int | None) -> Values:
    draws = cells.draws(name, k)
    held = [cells.held[name, k, draw] for draw in draws]
    own = interval(table_of(study, cells, name, k, draws), k is None)
    row: Values = {
        "method": name,
        "labelled": _label(k),
        "draws": len(draws),
        "score": rounded(own.mean),
        "ci95": rounded(own.ci95),
        "diverged": sum(cell.diverged for cell in held),
        **_difference(study, cells, name, k),
        "harmed": rounded(_harmed(study, cells, name, k), 1),
        "moved": study.rows[name].moves == "body",
        "seconds": rounded(np.mean([cell.seconds for cell in held]), 3),
        "selected": _selected(held),
    }
    return row


def _difference(study: Study, cells: Cells, name: str, k: int | None) -> Values:
    shared = _shared(cells, name, REFERENCE, k)
    if name == REFERENCE or not shared:
        return {"difference": None, "difference_ci95": None, "p": None}
    one, other = (table_of(study, cells, row, k, shared) for row in (name, REFERENCE))
    found = difference(one, other, k is None)
    return {"difference": rounded(found.mean), "difference_ci95": rounded(found.ci95), "p": found.p}


def _harmed(study: Study, cells: Cells, name: str, k: int | None) -> float | None:
    shared = _shared(cells, name, NO_TRANSFER, k)
    if name == NO_TRANSFER or not shared:
        return None
    return worse(*(table_of(study, cells, row, k, shared) for row in (name, NO_TRANSFER)))


def _shared(cells: Cells, name: str, other: str, k: int | None) -> list[int]:
    return sorted(set(cells.draws(name, k)) & set(cells.draws(other, k)))


def _corrected(rows: list[Values]) -> list[Values]:
    """Holm's correction over the rows that have a p."""
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p"] = rounded(p, 4)
    return rows


def _selected(held: Sequence[Cell]) -> Values:
    """How values were chosen, and how often each was."""
    names = held[0].selected
    counts = {name: Counter(str(cell.selected[name]) for cell in held) for name in names}
    return {
        "how": sorted({cell.how for cell in held}),
        "values": {name: dict(sorted(count.items())) for name, count in counts.items()},
    }


def _label(k: int | None) -> int | str:
    return ALL if k is None else k
