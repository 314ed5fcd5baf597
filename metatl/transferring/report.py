"""report.json: the protocol, and one row for each way and number of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metatl.evaluation.scores import Score
from metatl.evaluation.statistics import FEWEST_DRAWS, holm
from metatl.transferring.cells import ALL, Cell, Cells
from metatl.transferring.judging import kept, score_of
from metatl.transferring.rows import NO_TRANSFER
from metatl.transferring.running import missing, wanted
from metatl.transferring.scores import Matrix, difference, interval, matrix, rounded, worse
from metatl.transferring.study import Study

Values = dict[str, Any]
_ACCURACY = "accuracy in percent: mean over draws of each draw's share of {unit}s that judge named rightly"
_OTHER = (
    "{name}{unit_of}, {better} is better: mean over draws of each draw's mean over the {unit}s that judge"
)


def meaning(score: Score, unit: str, reference: str) -> dict[str, str]:
    """What the keys of a row mean."""
    said = _ACCURACY if score.name == "accuracy" else _OTHER
    unit_of = " in percent" if score.unit == "%" else ""
    ends = "Wilson's, with" if score.unit == "%" else "mean +- t times the root of"
    return {
        "score": said.format(name=score.name, unit=unit, unit_of=unit_of, better=score.better),
        "ci95": (
            f"95 %, over draws and {unit}s that judge: {ends} the variance between draws and between "
            f"{unit}s, and Student's t of Satterthwaite's degrees of freedom; over {unit}s alone where all "
            f"labelled are used in fewer than {FEWEST_DRAWS} folds; null with fewer draws, and for "
            "differences that do not vary"
        ),
        "difference": f"score minus that of {reference} on the same draws and {unit}s",
        "p": "two-sided, of the same interval; Holm-corrected over the rows at one number of labels",
        "diverged": (
            f"predictions of {unit}s that are not finite; a share counts them as 0, else there is no score"
        ),
        "harmed": f"percent of the draws shared with {NO_TRANSFER} where the row is worse; null without",
        "moved": f"whether weights below the output layer were trained on the labelled {unit}s",
        "seconds": "mean of a draw: to choose, fit and predict",
        "also": "further scores, each the mean over draws; null where one draw has none; coverage: share "
        "of the targets that lie in their 95 % intervals",
        "selected": (
            f"how: cv (inside the labelled {unit}s of each draw), source (held-out {unit}s of the source, by "
            "weight), default (no cross-validation), fixed, diverged"
        ),
    }


def report(study: Study, cells: Cells, protocol: Mapping[str, Any]) -> Values:
    """What `report.json` holds; rows by number of labels, then in the order of the rows."""
    found, cells = list[Values](), cells.of(wanted(study))
    for k in study.labelled:
        found += _corrected([_row(study, cells, name, k) for name in study.rows if cells.draws(name, k)])
    lacking = Counter((name, k) for name, k, _ in missing(study, cells))
    said = [
        {"method": name, "labelled": _label(k), "draws_missing": n, "draws_done": len(cells.draws(name, k))}
        for (name, k), n in lacking.items()
    ]
    score = score_of(study.problem.targets.values)
    told = {"score": score.name, "unit": score.unit, "better": score.better}
    meant = meaning(score, study.problem.unit, study.reference)
    notes = [*protocol["notes"], *ends(study, cells), *unread(study, cells)]
    return {
        "protocol": {**protocol, **told, "notes": notes, "meaning": meant, "missing": said},
        "rows": found,
    }


def ends(study: Study, cells: Cells) -> list[str]:
    """What rows chose at an end of the numbers that are tried, in more than half of their draws."""
    found: list[str] = []
    for name, row in study.rows.items():
        held = [cell for key, cell in cells.held.items() if key[0] == name and cell.how in ("cv", "source")]
        for path, values in row.grid.items():
            numbers = [value for value in values if isinstance(value, int | float)]
            for end in sorted({*numbers[:1], *numbers[-1:]}):
                count = sum(cell.selected[path] == end for cell in held)
                if 2 * count > len(held):
                    said = f"an end of what is tried, in {count} of {len(held)} draws."
                    found.append(f"{name} chose {path} {end:g}, {said}")
    return found


def unread(study: Study, cells: Cells) -> list[str]:
    """What the rows know that answer without a labelled row, of this problem or of a source."""
    return [
        f"{name} at 0 labels answers by its prior: each class alike, the first one named."
        for name, row in study.rows.items()
        if row.reads == "labels" and not row.adaptation.streams and cells.draws(name, 0)
    ]


def table_of(study: Study, cells: Cells, name: str, k: int | None, draws: Sequence[int]) -> Matrix:
    """[draws, rows] of a row of the table: the score of every row that judged."""
    parts = [study.part((name, k, draw)) for draw in draws]
    held = [np.array(cells.held[name, k, draw].scores, float) for draw in draws]
    pairs = [(part.test, scores) for part, scores in zip(parts, held, strict=True)]
    return matrix(pairs, len(study.problem.digests))


def _row(study: Study, cells: Cells, name: str, k: int | None) -> Values:
    draws = cells.draws(name, k)
    held = [cells.held[name, k, draw] for draw in draws]
    score, lost = score_of(study.problem.targets.values), sum(cell.diverged for cell in held)
    table = table_of(study, cells, name, k, draws)
    own = interval(score, table, not k) if score.unit == "%" or not lost else None
    row: Values = {
        "method": name,
        "labelled": _label(k),
        "draws": len(draws),
        "score": None if own is None else _digits(score, own.mean),
        "ci95": None if own is None else _digits(score, own.ci95),
        "diverged": lost,
        **_difference(study, cells, name, k),
        "harmed": rounded(_harmed(study, cells, name, k), 1),
        "moved": study.rows[name].moves == "body",
        "seconds": rounded(np.mean([cell.seconds for cell in held]), 3),
        "also": _also(held),
        "selected": _selected(held),
    }
    return row


def _difference(study: Study, cells: Cells, name: str, k: int | None) -> Values:
    reference, score = study.reference, score_of(study.problem.targets.values)
    shared = _shared(cells, name, reference, k)
    lost = sum(cells.held[row, k, draw].diverged for row in (name, reference) for draw in shared)
    if name == reference or not shared or (lost and score.unit != "%"):
        return {"difference": None, "difference_ci95": None, "p": None}
    one, other = (table_of(study, cells, row, k, shared) for row in (name, reference))
    found = difference(score, one, other, k is None)
    ends = _digits(score, found.ci95)
    return {"difference": _digits(score, found.mean), "difference_ci95": ends, "p": found.p}


def _harmed(study: Study, cells: Cells, name: str, k: int | None) -> float | None:
    shared = _shared(cells, name, NO_TRANSFER, k)
    if name == NO_TRANSFER or not shared:
        return None
    tables = (table_of(study, cells, row, k, shared) for row in (name, NO_TRANSFER))
    return worse(score_of(study.problem.targets.values), *tables)


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


def _also(held: Sequence[Cell]) -> dict[str, float | None]:
    """Further scores: the mean over draws, None where one draw has none."""
    names = dict.fromkeys(name for cell in held for name in cell.also)
    found = {name: [cell.also.get(name) for cell in held] for name in names}
    return {
        name: None
        if any(value is None for value in values)
        else kept(name, float(np.mean(np.array(values, float))))
        for name, values in found.items()
    }


def _digits(score: Score, value: Any) -> Any:
    """Shares in percent with two places, other values with the digits that they have."""
    if score.unit == "%" or value is None:
        return rounded(value)
    return [_digits(score, one) for one in value] if isinstance(value, tuple) else float(f"{value:.6g}") + 0.0


def _label(k: int | None) -> int | str:
    return ALL if k is None else k
