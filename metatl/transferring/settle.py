"""Which row is saved: the best in cross-validation inside all labelled rows; the test part has no say."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass

import numpy as np

from metatl.adapt import check_outputs
from metatl.data.fixed import MOST_FOLDS, Part
from metatl.text import counted, near
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells, Key
from metatl.transferring.choose import Choice, surely
from metatl.transferring.fit import Model, fit
from metatl.transferring.judging import Scale, score_of, shown
from metatl.transferring.rows import named, spelt
from metatl.transferring.study import Study, moving
from metatl.transferring.timed import VALIDATION, Tell, chosen_before, timed
from metatl.transferring.validation import folds_of_all, left, row_of
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
    """Seconds to keep for the choice and the last fit, up to a share.

    For rows on frozen features with their values chosen in every fold, or else with defaults; then for one
    fold of the rows that move the body.
    """
    heads, bodies = _kinds(study)
    most, kept = SHARE * budget.seconds, 0.0
    for thorough in (False, True):
        wanted = _cost(study, budget, left(study, cells, heads), heads if thorough else ())
        wanted += _last(study, budget, heads, thorough)
        kept = wanted if wanted <= most else kept
    fold = [one for one in left(study, Cells(cells.folder, {}, {}), bodies) if one[0][2] == 0]
    wanted = _cost(study, budget, fold, bodies) + _last(study, budget, bodies)
    return kept + (wanted if kept + wanted <= most else 0.0)


def validate(study: Study, cells: Cells, budget: Budget, tell: Tell = lambda work: None) -> None:
    """Cross-validate every row on all labelled rows, fold by fold, as far as the minutes go.

    Rows choose their values in every fold as far as that fits, on frozen features in all folds; others take
    their defaults, and the dearest are left out where one fold of all would be too much.
    """
    for names, least in zip(_kinds(study), (MOST_FOLDS, 1), strict=True):
        todo = left(study, cells, names)
        folds = list(dict.fromkeys(key[2] for key, _ in todo))
        some = [one for one in todo if one[0][2] in folds[:least]]
        last = _last(study, budget, names)
        last = last if last <= budget.left else _last(study, budget, names, False)
        choosing = _choosing(study, budget, some, budget.left - last)
        some = [one for one in todo if one[0][2] in folds[:1]]
        some.sort(key=lambda one: _cost(study, budget, [one], choosing))
        while some and _cost(study, budget, some, choosing) + last > budget.left:
            last = _last(study, budget, [row_of(key) for key, _ in some[:-1]], False)
            some.pop()
        names = {row_of(key) for key, _ in some}
        for fold in folds:
            block = [one for one in todo if one[0][2] == fold and row_of(one[0]) in names]
            if _cost(study, budget, block, choosing) + last > budget.left:
                break
            for key, part in block:
                timed(study, cells, budget, {key: part}, budget.left - last, tell, row_of(key) in choosing)


def _kinds(study: Study) -> tuple[list[str], list[str]]:
    """The rows on frozen features, and those that move the body."""
    bodies = moving(study)
    return [name for name in study.rows if name not in bodies], bodies


def _choosing(study: Study, budget: Budget, some: Sequence[tuple[Key, Part]], seconds: float) -> set[str]:
    """The rows that choose their values in these cells: the cheapest ones first, beside one fit of all."""
    found = set[str]()
    for name in sorted(
        {row_of(key) for key, _ in some}, key=lambda name: study.cost(budget, name, some[0][1])
    ):
        if _cost(study, budget, some, {*found, name}) <= seconds:
            found.add(name)
    return found


def _cost(study: Study, budget: Budget, some: Sequence[tuple[Key, Part]], choosing: Container[str]) -> float:
    return sum(study.cost(budget, row_of(key), part, row_of(key) in choosing) for key, part in some)


def _last(study: Study, budget: Budget, names: Sequence[str], thorough: bool = True) -> float:
    """Seconds of a last fit to all labelled rows: of the dearest of these."""
    rows = study.everything()
    whole = Part(rows, rows[:0])
    return max((study.cost(budget, name, whole, thorough) for name in names), default=0.0)


def settle(study: Study, cells: Cells, budget: Budget) -> Settled:
    """The row with the best cross-validated score on the rows that all candidates have judged.

    A candidate is a row with one fold or more, none of which diverged; of equals the earlier one in the
    table. Without folds (one row of a class), or minutes for them, it is the reference, or the row with the
    cheapest fit where there is no time for that one. Raises MetatlError where every row diverged.
    """
    folds = folds_of_all(study)
    done = {name: cells.draws(VALIDATION + name, None) for name in study.rows}
    judged = [name for name in study.rows if done[name] and name not in cells.refused]
    lost = [name for name in judged if any(_diverged(cells, name, fold) for fold in done[name])]
    candidates = [name for name in judged if name not in lost]
    if judged and not candidates:
        raise MetatlError(
            f"every row diverges in cross-validation: {', '.join(lost)}; name others by --methods"
        )
    if folds is None or not candidates:
        why = "nothing to validate on" if folds is None else "for want of minutes"
        why = "the first row, as no label may choose" if study.unsupervised else why
        return Settled(_without_choice(study, cells, budget), f"taken without choice: {why}", {})
    common = sorted(set.intersection(*(set(done[name]) for name in candidates)))
    of, score = score_of(study.problem.targets.values), dict[str, float]()
    for name in candidates:
        held = [cells.held[VALIDATION + name, None, fold].scores for fold in common]
        score[name] = float(np.concatenate([np.array(one, float) for one in held]).mean())
    best = max(candidates, key=lambda name: of.sign * score[name])
    score = {name: shown(of, value) for name, value in score.items()}
    count = int(folds.max()) + 1
    how = f"best of {counted(len(candidates), 'row')} in {len(common)} of {count} folds of the labelled "
    how += f"{study.problem.unit}s"
    others = [name for name in study.rows if name not in judged and name not in cells.refused]
    how += f"; not in the choice, for want of minutes: {', '.join(others)}" if others else ""
    how += f"; not in the choice, as they diverge: {', '.join(lost)}" if lost else ""
    how += f"; not in the choice, as they stopped: {', '.join(cells.refused)}" if cells.refused else ""
    return Settled(best, how, score)


def as_asked(word: str | None, names: Sequence[str], swept: Collection[str] = ()) -> Settled | None:
    """The row to keep whatever its score; None where none is named, MetatlError for one that is not compared.

    names: the rows that were asked for by name; swept: those of a sweep.
    """
    name, known = None if word is None else named(spelt(word)), [*names, *swept]
    if name is not None and name not in known:
        also = " or the sweep has" if swept else ""
        raise MetatlError(f"save: {word!r} is none of the rows that --methods names{also}{near(name, known)}")
    return None if name is None else Settled(name, "as asked", {})


def _without_choice(study: Study, cells: Cells, budget: Budget) -> str:
    """The reference; where its fit is not in the minutes, the row of the table with the cheapest one."""
    first = study.reference
    if first not in cells.refused and _last(study, budget, [first], thorough=False) <= budget.left:
        return first
    done = {key[0] for key in cells.held} - cells.refused.keys()
    done = [name for name in study.rows if name in done]
    return min(done, key=lambda name: _last(study, budget, [name], False), default=first)


def fit_all(
    study: Study, name: str, budget: Budget, cells: Cells | None = None
) -> tuple[Choice, Model, Scale]:
    """The row fitted on all labelled rows, its values chosen by cross-validation among them.

    They are those of its cell with the same rows; defaults where time ends. MetatlError where it diverges.
    """
    rows = study.everything()
    known = None if cells is None else chosen_before(study, name, rows, cells)
    labelled, _, scale = study.given(name, Part(rows, rows[:0]), study.seed * 1000)
    try:
        once = _last(study, budget, [name], thorough=False)
        thorough = _last(study, budget, [name]) <= budget.left
        choice = known or study.chosen(name, [labelled], thorough, budget.left - once)[0]
        fitted = fit(surely(choice).row, study.start(name), labelled)
        check_outputs(fitted.outputs(labelled.features, labelled.rows), study.problem.unit)
    except MetatlError as error:
        raise MetatlError(
            f"{name}, fitted on all labelled {study.problem.unit}s: {error}; leave it out by --methods"
        ) from error
    return choice, fitted, scale


def _diverged(cells: Cells, name: str, fold: int) -> bool:
    return cells.held[VALIDATION + name, None, fold].diverged > 0
